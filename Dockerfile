# docker build -t spool . && docker run -d --name spool -v spool:/var/lib/spool -p 4006:4006 -p 4006:4006/udp spool
# Nothing here needs a frontend or an image other than the two named below; both may be replaced by Debian-like ones.
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# Manifests with empty sources: what this stage holds changes only when a dependency does, and so does the layer that
# compiles the dependencies, RocksDB's ten minutes of C++ among them.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /tree
COPY . .
RUN mkdir /manifests \
    && find . -name Cargo.toml -o -name Cargo.lock -o -path './.cargo/config.toml' | xargs cp --parents -t /manifests \
    && find . -path '*/src/lib.rs' -o -path '*/src/main.rs' -o -name build.rs -o -path '*/benches/*.rs' -o -path '*/netns/main.rs' | while read -r file; do \
           mkdir -p "/manifests/$(dirname "$file")" && echo 'fn main() {}' > "/manifests/$file"; \
       done

FROM ${RUST_IMAGE} AS build
WORKDIR /spool
COPY scripts/setup scripts/
COPY Cargo.toml ./
RUN scripts/setup
COPY --from=manifests /manifests ./
RUN cargo build --release --locked -p spool-node
COPY . .
# Cargo goes by time stamps, and those of the sources are older than what was just built from the empty ones.
RUN find . -name '*.rs' -exec touch {} + && cargo build --release --locked -p spool-node

FROM ${RUNTIME_IMAGE}
RUN useradd --system --uid 4006 --home-dir /var/lib/spool --create-home spool
COPY --from=build /spool/target/release/spool /usr/local/bin/
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/spool/
USER spool
# The first start makes an identity; its recovery phrase is in the file `identity` of the volume: keep a copy elsewhere.
ENV SPOOL_REPO=/var/lib/spool
VOLUME /var/lib/spool
# libp2p over TCP and QUIC. The API on 6006 answers on the loopback interface only: `docker exec spool spool stat`.
EXPOSE 4006/tcp 4006/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["spool", "stat"]
ENTRYPOINT ["spool"]
CMD ["daemon", "--init"]
