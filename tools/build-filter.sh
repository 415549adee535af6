#!/usr/bin/env bash
# Builds what a proxy loads:
#
#     target/wasm/foresail_filter.wasm    the filter
#     target/wasm/empty_filter.wasm       the SDK's empty filter, what the bench compares with
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

# Its own manifest, its own profile: nothing of ours but the compiler.
(
    unset CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS
    tools/wasm-cargo.sh build --quiet --locked --release \
        --manifest-path tests/empty-filter/Cargo.toml --target-dir "$BUILD/empty-filter"
)
cp "$BUILD/empty-filter/$TARGET/release/empty_filter.wasm" "$OUT/.empty.$$"
mv -f "$OUT/.empty.$$" "$OUT/empty_filter.wasm"

how="without wasm-opt"
if [ -x .tools/bin/wasm-opt ]; then
    .tools/bin/wasm-opt "${FEATURES[@]}" -O3 --strip-debug --strip-producers "$linked" -o "$linked"
    how="with wasm-opt"
fi
mv -f "$linked" "$OUT/foresail_filter.wasm"
printf '%-9s target/wasm/foresail_filter.wasm, %s bytes, %s\n' filter \
    "$(wc -c <"$OUT/foresail_filter.wasm")" "$how"
