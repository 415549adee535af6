#!/usr/bin/env bash
# cargo for the wasm target, by whichever way tools/setup.sh chose (it is asked to choose first).
#
#     tools/wasm-cargo.sh build --profile wasm -p foresail-filter
#     tools/wasm-cargo.sh clippy -p foresail-filter -- -D warnings
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=wasm32-unknown-unknown

[ $# -gt 0 ] || { echo "usage: tools/wasm-cargo.sh COMMAND [OPTION]..." >&2; exit 2; }
command=$1
shift

"$ROOT/tools/setup.sh" wasm >&2
way=$(cat "$ROOT/.tools/wasm-way")

if [ "$way" = rustup ]; then
    exec cargo "$command" --target "$TARGET" "$@"
fi

# Debian's compiler builds the standard library itself. It has no linker for wasm; the toolchain
# that brought cargo does.
host=$(rustc -vV | sed -n 's/^host: //p')
lld_dir=$(rustc --print sysroot)/lib/rustlib/$host/bin
if [ ! -x "$lld_dir/rust-lld" ]; then
    echo "wasm-cargo FAILED: there is no rust-lld in $lld_dir; try: install Rust with rustup" >&2
    exit 1
fi
if [ "$command" = clippy ]; then
    echo "wasm-cargo: clippy needs rustup's wasm target, so here the compiler's own lints must do" >&2
    command=check
    options=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    set -- "${options[@]}"
    export RUSTFLAGS="${RUSTFLAGS:-} -D warnings"
fi
export PATH=$PATH:$lld_dir RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
exec cargo "$command" --target "$TARGET" -Zbuild-std=std,panic_abort "$@"
