# A static binary in an empty image.
#
#   rustup target add x86_64-unknown-linux-musl     (and: apt-get install musl-tools)
#   cargo build --release --target x86_64-unknown-linux-musl
#   docker build -t swarmscout .
#
# The binary is built outside, so that the build needs no network and no base image.
FROM scratch
COPY target/x86_64-unknown-linux-musl/release/swarmscout /swarmscout
COPY LICENSE /LICENSE
USER 65532:65532
EXPOSE 9465
HEALTHCHECK --interval=10s --timeout=5s CMD ["/swarmscout", "check", "healthy"]
ENTRYPOINT ["/swarmscout"]
