# docker build -f istio/images/aggregator.Dockerfile target/release: the aggregator.
# After `make build`, on a machine whose C library is not newer than the image's.
FROM debian:bookworm-slim
COPY foresail /usr/local/bin/foresail
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/foresail"]
