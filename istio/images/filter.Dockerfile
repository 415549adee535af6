# docker build -f istio/images/filter.Dockerfile target/wasm: the module, as Istio's agent fetches it.
# After `make wasm`. `docker push` prints the digest for filter.image.digest.
FROM scratch
COPY foresail_filter.wasm ./plugin.wasm
