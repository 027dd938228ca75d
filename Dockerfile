# Builds and runs one node. The data directory is a volume; ports are the standard ones inside the container.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends clang libclang-dev g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p node && cp target/release/mailnode /usr/local/bin/mailnode

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/mailnode /usr/local/bin/mailnode
VOLUME /var/lib/mailnode
ENV MAILNODE_DATA=/var/lib/mailnode
EXPOSE 25 465 587 24 143 993 80
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD curl -fsS http://127.0.0.1/readyz || exit 1
ENTRYPOINT ["mailnode"]
