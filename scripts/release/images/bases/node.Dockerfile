# Stands in for node:24-bookworm-slim: the same Node.js, npm and user; how this machine reaches its package registries.
FROM localhost/debian:bookworm-slim
COPY files /
RUN groupadd --gid 1000 node \
 && useradd --uid 1000 --gid node --shell /bin/bash --create-home node \
 && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \
 && chmod +x /usr/local/bin/node \
 && node --version && npm --version && rm -rf /tmp/*
CMD ["node"]
