# Stands in for NVIDIA's image: tritonserver 2.51 at the same place, with its Python backend and no other; on Debian and
# its Python 3.11, where NVIDIA has Ubuntu 22.04 and Python 3.10. Without CUDA.
FROM localhost/debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 libpython3.11 \
 && rm -rf /var/lib/apt/lists/*
COPY files /
RUN useradd --uid 1000 --shell /bin/bash --create-home triton-server
ENV PATH=/opt/tritonserver/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LD_LIBRARY_PATH=/opt/tritonserver/lib
