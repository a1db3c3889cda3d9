# Stands in for debian:bookworm-slim. Its files are debootstrap's.
FROM scratch
ADD debian.tar /
CMD ["bash"]
