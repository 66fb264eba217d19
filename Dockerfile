# An empty image with the static binary. Two ways to build it, both with BuildKit (Docker 23 or newer, or
# DOCKER_BUILDKIT=1):
#
#   docker build -t swarmscout .
#     for this machine, from the source, with nothing but Docker.
#
#   deploy/release
#   docker buildx build --target release --platform linux/amd64,linux/arm64,linux/arm/v7 \
#     -t REGISTRY/swarmscout:VERSION --push .
#     for a Swarm of several architectures, from the binaries in dist/: needs no base image and no
#     network, and runs nothing. Each node pulls its own image by the one name.
FROM scratch AS image
COPY LICENSE /LICENSE
# For --storage.path. A new volume that is mounted there gets the owner of the folder.
COPY --chown=65532:65532 deploy/storage /var/lib/swarmscout
# Returns freed memory to the system at once: docs/robustness.md, "A day of changes".
ENV MIMALLOC_PURGE_DELAY=0
USER 65532:65532
EXPOSE 9465
# A Swarm task is Starting, and not in the DNS, until the first check, one interval after its start.
# A check costs about 50 ms of CPU. (Builders older than Docker 25 reject --start-interval.)
HEALTHCHECK --interval=3s --timeout=5s CMD ["/swarmscout", "check", "healthy"]
ENTRYPOINT ["/swarmscout"]

FROM image AS release
# linux-amd64, linux-arm64 or linux-armv7; set by Docker.
ARG TARGETARCH
ARG TARGETVARIANT
COPY dist/linux-${TARGETARCH}${TARGETVARIANT}/swarmscout dist/linux-${TARGETARCH}${TARGETVARIANT}/THIRD-PARTY-LICENSES.txt /

FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools
WORKDIR /src
COPY . .
RUN target=$(rustc --print host-tuple | sed s/gnu/musl/) && rustup target add "$target" \
 && TARGET_CC=musl-gcc cargo build --release --locked -p swarmscout --target "$target" \
 && mv "target/$target/release/swarmscout" /swarmscout

FROM image
COPY --from=build /swarmscout /swarmscout
