#!/usr/bin/env bash
# Builds what a proxy loads:
#
#     target/wasm/foresail_filter.wasm    the filter
#     target/wasm/empty_filter.wasm       the SDK's empty filter, what the bench compares with
#     target/wasm/bare_recorder.wasm      what asks the same and keeps nothing, likewise
#     target/wasm/silent.wasm             the same module without a callback for requests
#
# The filter's module gets exactly the exports it uses (tools/wasm/link.py says why) and is then
# optimised by wasm-opt where `tools/setup.sh binaryen` has put one in place.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=wasm32-unknown-unknown
OUT=$ROOT/target/wasm
BUILD=${CARGO_TARGET_DIR:-$ROOT/target}
FEATURES=(--enable-bulk-memory --enable-sign-ext --enable-mutable-globals
    --enable-nontrapping-float-to-int --enable-multivalue --enable-reference-types)

# The proxy runs the module's code on its own stack, so 128 KiB serve where 1 MiB is usual.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C link-arg=-zstack-size=131072"

cd "$ROOT"
mkdir -p "$OUT"
tools/wasm-cargo.sh build --quiet --locked --profile wasm -p foresail-filter

linked=$OUT/.linked.$$
trap 'rm -f "$linked"' EXIT
python3 tools/wasm/link.py "$BUILD/$TARGET/wasm/foresail_filter.wasm" "$linked" \
    memory \
    proxy_abi_version_0_2_1 \
    _initialize=foresail_initialize \
    proxy_on_memory_allocate=foresail_memory_allocate \
    proxy_on_context_create=foresail_on_context_create \
    proxy_on_log=foresail_on_log \
    proxy_on_configure \
    proxy_on_tick \
    proxy_on_http_call_response

# Their own manifests, their own profiles: nothing of ours but the compiler.
compared() { # NAME
    (
        unset CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS
        tools/wasm-cargo.sh build --quiet --locked --release \
            --manifest-path "tests/${1//_/-}/Cargo.toml" --target-dir "$BUILD/${1//_/-}"
    )
    cp "$BUILD/${1//_/-}/$TARGET/release/$1.wasm" "$OUT/.$1.$$"
    mv -f "$OUT/.$1.$$" "$OUT/$1.wasm"
}
compared empty_filter
compared bare_recorder
python3 tools/wasm/link.py "$OUT/bare_recorder.wasm" "$OUT/silent.wasm" \
    memory proxy_abi_version_0_2_1 proxy_on_memory_allocate proxy_on_configure
python3 tools/wasm/link.py "$OUT/bare_recorder.wasm" "$OUT/bare_recorder.wasm" \
    memory proxy_abi_version_0_2_1 proxy_on_memory_allocate proxy_on_configure \
    proxy_on_context_create proxy_on_log

how="without wasm-opt"
if [ -x .tools/bin/wasm-opt ]; then
    .tools/bin/wasm-opt "${FEATURES[@]}" -O3 --strip-debug --strip-producers "$linked" -o "$linked"
    how="with wasm-opt"
fi
mv -f "$linked" "$OUT/foresail_filter.wasm"
printf '%-9s target/wasm/foresail_filter.wasm, %s bytes, %s\n' filter \
    "$(wc -c <"$OUT/foresail_filter.wasm")" "$how"
