#!/usr/bin/env bash
# Runs each fuzz target for a while, from the inputs that earlier runs found and the ones in fuzz/seeds. Two run at a
# time, or as many as --jobs says; what a target prints is shown when it has found something.
#   scripts/fuzz.sh [--repeatable] [--jobs N] [SECONDS_PER_TARGET] [TARGET...]      (default: 10 seconds, all targets)
#     --repeatable   start from fuzz/seeds alone and with fixed random numbers, so that a test's verdict on a commit is
#                    not a matter of luck; what it finds is not kept
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

repeatable=
jobs=2
while [ $# -gt 0 ]; do
  case $1 in
    --repeatable) repeatable=-seed=1 ;;
    --jobs) jobs="${2:?--jobs takes a number}" && shift ;;
    *) break ;;
  esac
  shift
done
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
# All at once, so that no target's time is spent waiting for another's compiler.
for target in "${targets[@]}"; do cargo fuzz build --sanitizer none "$target" </dev/null; done

logs="$(mktemp -d)"
trap 'rm -rf "$logs"' EXIT

fuzz() {
  local target=$1 corpus="$VIDEOCALL_CACHE/fuzz/$1"
  if [ -n "$repeatable" ]; then corpus="$(mktemp -d "$logs/corpus.XXXXXX")"; fi
  mkdir -p "$corpus"
  local corpora=("$corpus")
  if [ -d "fuzz/seeds/$target" ]; then corpora+=("fuzz/seeds/$target"); fi
  cargo fuzz run --sanitizer none "$target" "${corpora[@]}" -- \
    ${repeatable:+"$repeatable"} -max_total_time="$seconds" -timeout=10 -verbosity=1 -print_final_stats=1 \
    </dev/null >"$logs/$target" 2>&1
}

# Waits for one that has ended and says how it went.
failed=()
declare -A running=()
reap() {
  local pid status=0
  wait -n -p pid "${!running[@]}" || status=$?
  local target=${running[$pid]}
  unset "running[$pid]"
  if [ "$status" -ne 0 ]; then
    failed+=("$target")
    cat "$logs/$target" >&2
    say "$target has found something"
  else
    say "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target") inputs in $seconds s, nothing found"
  fi
}

for target in "${targets[@]}"; do
  while [ ${#running[@]} -ge "$jobs" ]; do reap; done
  say "fuzzing $target for $seconds s"
  fuzz "$target" &
  running[$!]=$target
done
while [ ${#running[@]} -gt 0 ]; do reap; done
[ ${#failed[@]} -eq 0 ] || die "what was found is in fuzz/artifacts: ${failed[*]}"
