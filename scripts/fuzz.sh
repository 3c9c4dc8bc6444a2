#!/usr/bin/env bash
# Runs each fuzz target for a while, from the inputs that earlier runs found and the ones in fuzz/seeds.
#   scripts/fuzz.sh [--repeatable] [SECONDS_PER_TARGET] [TARGET...]      (default: 10 seconds, all targets)
#     --repeatable   start from fuzz/seeds alone and with fixed random numbers, so that a test's verdict on a commit is
#                    not a matter of luck; what it finds is not kept
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

repeatable=
if [ "${1:-}" = --repeatable ]; then
  repeatable=-seed=1
  shift
fi
seconds="${1:-10}"
[ $# -gt 0 ] && shift
if [ ! -e fuzz/Cargo.toml ]; then
  say "no fuzz targets here"
  exit 0
fi
have cargo-fuzz || die "cargo-fuzz is missing; run scripts/setup-tools.sh test"
adopt_build_dir
export CARGO_TARGET_DIR="$BUILD_DIR/target-fuzz"
# libFuzzer's instrumentation is stable, the flags that request it are not. The memory sanitizers are left out: the
# code under test forbids unsafe, and they cost most of the speed.
export RUSTC_BOOTSTRAP=1

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then mapfile -t targets < <(cargo fuzz list); fi
for target in "${targets[@]}"; do
  say "fuzzing $target for $seconds s"
  corpus="$VIDEOCALL_CACHE/fuzz/$target"
  if [ -n "$repeatable" ]; then corpus="$(mktemp -d)"; fi
  mkdir -p "$corpus"
  corpora=("$corpus")
  if [ -d "fuzz/seeds/$target" ]; then corpora+=("fuzz/seeds/$target"); fi
  cargo fuzz run --sanitizer none "$target" "${corpora[@]}" -- \
    ${repeatable:+"$repeatable"} -max_total_time="$seconds" -timeout=10 -verbosity=0 -print_final_stats=0 </dev/null
  if [ -n "$repeatable" ]; then rm -rf "$corpus"; fi
done
