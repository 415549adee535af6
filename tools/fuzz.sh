#!/usr/bin/env bash
# Coverage-guided fuzzing on stable Rust: every target of every `*/fuzz/Cargo.toml`, in turn.
#
#     tools/fuzz.sh [SECONDS [TARGET]]      SECONDS per target, 60 unless told
#
# libFuzzer comes with the crate libfuzzer-sys. What `cargo fuzz` asks of a nightly compiler for
# coverage are codegen options that stable has, too; only the sanitizers need nightly, and code
# without `unsafe` has little use for those. See tools/README.md.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SECONDS_EACH=${1:-60}
ONLY=${2:-}

"$ROOT/tools/setup.sh" fuzz

host=$(rustc -vV | sed -n 's/^host: //p')
flags=(--cfg fuzzing -Ccodegen-units=1 -Cdebug-assertions -Cpasses=sancov-module)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done

shopt -s nullglob
ran=0 failed=()
for manifest in "$ROOT"/*/fuzz/Cargo.toml; do
    folder=$(dirname "$manifest")
    name=$(basename "$(dirname "$folder")")
    build=${CARGO_TARGET_DIR:-$ROOT/target}/fuzz/$name
    for source in "$folder"/fuzz_targets/*.rs; do
        target=$(basename "$source" .rs)
        [ -z "$ONLY" ] || [ "$ONLY" = "$target" ] || continue
        # `--target` keeps the coverage flags away from build scripts and procedural macros.
        RUSTFLAGS="${flags[*]}" cargo build --quiet --release --manifest-path "$manifest" \
            --target "$host" --target-dir "$build" --bin "$target"
        # What is found grows the first folder; committed seeds are only read.
        corpus=$build/corpus/$target
        artifacts=$build/artifacts/$target
        mkdir -p "$corpus" "$artifacts"
        seeds=()
        [ ! -d "$folder/seeds/$target" ] || seeds=("$folder/seeds/$target")
        echo "== fuzz $name/$target for $SECONDS_EACH s"
        log=$build/$target.log
        if "$build/$host/release/$target" "$corpus" ${seeds[@]+"${seeds[@]}"} -timeout=10 -rss_limit_mb=2048 \
            -max_total_time="$SECONDS_EACH" -print_final_stats=1 -artifact_prefix="$artifacts/" >"$log" 2>&1; then
            sed -nE 's/^stat::number_of_executed_units: */   executions: /p' "$log"
            echo "   inputs kept: $(find "$corpus" -type f | wc -l)"
        else
            tail -n 25 "$log"
            failed+=("$name/$target")
        fi
        ran=$((ran + 1))
    done
done

if [ "$ran" = 0 ]; then
    echo "fuzz FAILED: no target${ONLY:+ named $ONLY}; try: ls */fuzz/fuzz_targets" >&2
    exit 1
fi
echo "$((ran - ${#failed[@]})) passed, ${#failed[@]} failed"
[ ${#failed[@]} = 0 ] || { echo "fuzz FAILED: ${failed[*]}; the input that did it is named above" >&2; exit 1; }
