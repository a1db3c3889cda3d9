# The worker and its command line: docker build --tag imagen-worker .
# What is in it, and what else it can be told: docs/images.md

ARG NODE_BASE=node:24-bookworm-slim

FROM ${NODE_BASE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY src ./src
# Maps and types are for those who import the package, and .tsbuildinfo for the next build.
RUN npm run build && find dist \( -name '*.map' -o -name '*.d.ts' -o -name .tsbuildinfo \) -delete

FROM ${NODE_BASE} AS dependencies
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Without scripts: what they would do is to build our sources, which are not here, and to look for a libvips to compile
# sharp against, where its own is already among the packages.
RUN npm ci --omit=dev --ignore-scripts
# What only developers of the packages read. Licences stay.
RUN find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.tsbuildinfo' \
        -o -iname 'readme*' -o -iname 'changelog*' -o -iname 'history.md' -o -name '.package-lock.json' \) -delete \
 && find node_modules -type d \( -name test -o -name tests -o -name __tests__ -o -name samples -o -name benchmark \) \
        -prune -exec rm -rf {} + \
 && find node_modules -type d -empty -delete

FROM ${NODE_BASE}
# jemalloc: glibc keeps a heap for each thread and gives little of it back, which for a worker that decodes pictures in
# threads is several times what they need. tini: the kernel withholds SIGTERM from a process 1 that has not asked for it,
# as node has not before the worker is up, nor in the other commands. libturbojpeg: ordinary JPEGs for a third of sharp's time.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libjemalloc2 libturbojpeg0 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/cache/apt/* /var/log/*
# jemalloc by its name alone, so that it is found on every architecture. Of Node's threads half are for decoders and encoders.
# Its background thread returns freed memory of a worker that has nothing to do; fewer arenas keep less of it.
ENV LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=background_thread:true,narenas:2 NODE_ENV=production PORT=8080 UV_THREADPOOL_SIZE=8
WORKDIR /opt/imagen
COPY --from=dependencies /build/node_modules ./node_modules
COPY package.json LICENSE ./
COPY proto ./proto
COPY --from=build /build/dist ./dist
# The command line by its name, for `docker exec`.
RUN ln -s /opt/imagen/dist/main.js /usr/local/bin/imagen

USER 1000:1000
EXPOSE 8080
ENTRYPOINT ["/usr/bin/tini", "--", "node", "/opt/imagen/dist/main.js"]
CMD ["worker"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/livez`, { signal: AbortSignal.timeout(4000) }).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

ARG VERSION=0.1.0
ARG REVISION=unknown
ENV IMAGEN_REVISION=${REVISION}
LABEL org.opencontainers.image.title="imagen-worker" \
      org.opencontainers.image.description="Turns a Pub/Sub queue of image jobs into finished images with NVIDIA Triton" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
