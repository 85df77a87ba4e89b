# docker build -t spool . && docker run -d --name spool -v spool:/var/lib/spool -p 4006:4006 -p 4006:4006/udp spool
# docs/containers.md says more. Needs neither BuildKit nor another frontend; both images may be others that are like Debian.
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

# Everything but the program, which is in a directory of its own with its licences.
FROM ${RUNTIME_IMAGE} AS runtime
RUN useradd --uid 4006 --user-group --home-dir /var/lib/spool --no-create-home --shell /usr/sbin/nologin spool \
    && install -d -m 700 -o spool -g spool /var/lib/spool \
    && ln -s /opt/spool/spool /usr/local/bin/spool
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

# With `--target prebuilt`: around a `spool` in the build context that was built elsewhere. As a pattern, because the builder before BuildKit comes
# through here also on its way to the end, where there is no such file.
FROM runtime AS prebuilt
COPY LICENSE-MIT LICENSE-APACHE spoo[l] /opt/spool/

# Manifests with empty sources: what comes out changes only where a dependency does or a target comes or goes.
FROM ${RUNTIME_IMAGE} AS manifests
WORKDIR /tree
COPY . .
RUN mkdir /manifests \
    && find . -name Cargo.toml -o -path ./Cargo.lock -o -path ./.cargo/config.toml -o -path ./scripts/setup | xargs cp --parents -t /manifests \
    && find . -regextype egrep -regex '\./[^/]+/(build|src/(lib|main)|(benches|examples|tests)/[^/]+|netns/main)\.rs' | while read -r file; do \
           mkdir -p "/manifests/$(dirname "$file")" && echo 'fn main() {}' > "/manifests/$file"; \
       done

FROM ${RUST_IMAGE} AS build
WORKDIR /spool
# How many compilers run at once; as many as there are processors, unless said.
ARG CARGO_BUILD_JOBS
# Names of lines are worth less here than a small image.
ENV CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=symbols
COPY --from=manifests /manifests ./
RUN scripts/setup
# The dependencies, RocksDB's ten minutes of C++ among them: a layer that stays until one of them is another.
RUN cargo build --release --locked -p spool-node
COPY . .
# Cargo goes by time stamps, and those of the sources are older than what was just built from the empty ones.
RUN find . -name '*.rs' -exec touch {} + && cargo build --release --locked -p spool-node

FROM runtime
COPY --from=build /spool/LICENSE-MIT /spool/LICENSE-APACHE /spool/target/release/spool /opt/spool/
