# Builds and runs one node. The data directory is a volume; inside the container the ports are the standard ones.

# All but the binary; tests/docker/Dockerfile.prebuilt puts one in without building it.
FROM debian:bookworm-slim AS runtime
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --user-group --home-dir /var/lib/mailnode --no-create-home mailnode \
 && install -d -o mailnode -g mailnode -m 0700 /var/lib/mailnode /var/lib/mailnode-invitations
COPY docker/node.sh /usr/local/bin/mailnode-in-compose
# Docker lets every user of a container open ports below 1024.
USER mailnode
ENV MAILNODE_DATA=/var/lib/mailnode MAILNODE_PORT_OFFSET=0
VOLUME /var/lib/mailnode
EXPOSE 25 465 587 143 993 80 7025/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD curl -fsS http://127.0.0.1/readyz || exit 1
ENTRYPOINT ["mailnode"]

# The manifests alone: while they do not change, the dependencies (RocksDB: 10 to 20 minutes) come from Docker's cache.
FROM rust:1.95-bookworm AS manifests
COPY . /src
RUN find /src -type f ! -name Cargo.toml ! -name Cargo.lock -delete && find /src -type d -empty -delete

FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends clang libclang-dev g++ \
 && rm -rf /var/lib/apt/lists/*
ENV CARGO_INCREMENTAL=0
WORKDIR /src
COPY --from=manifests /src .
# Every crate of ours is empty here.
RUN for manifest in */Cargo.toml tests/clients/Cargo.toml; do mkdir -p "${manifest%/*}/src" && touch "${manifest%/*}/src/lib.rs"; done \
 && echo 'fn main() {}' > node/src/main.rs \
 && cargo build --release --locked -p node
COPY . .
# Cargo goes by times, and the files may be older than the empty ones that were built.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
 && cargo build --release --locked -p node \
 && cp target/release/mailnode /usr/local/bin/mailnode

FROM runtime
COPY --from=build /usr/local/bin/mailnode /usr/local/bin/mailnode
