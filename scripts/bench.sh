#!/usr/bin/env bash
# Runs the benchmarks, optimised, on this machine alone: one relay under load, and the way into a meeting.
# Figures are printed and written to bench-results/.
#   scripts/bench.sh [relay] [join]      (default: both)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

bench_relay() { "$VIDEOCALL_BIN_DIR/bench_relay"; }

bench_join() {
  scripts/build-ui.sh --release
  VIDEOCALL_UI_DIR="$REPO_ROOT/yew-ui/dist" node e2e/browser/bench/join.mjs
}

if [ $# -eq 0 ]; then set -- relay join; fi
for name in "$@"; do
  declare -F "bench_$name" >/dev/null || die "unknown benchmark '$name'; there are relay and join"
done

adopt_build_dir
say "building the server and the load, optimised (ten minutes the first time, one or two after a change)"
cargo build --release -p videocall-server -p e2e --bins </dev/null
export VIDEOCALL_BIN_DIR="$CARGO_TARGET_DIR/release"
for name in "$@"; do
  printf '\n──── %s ────\n' "$name"
  "bench_$name" </dev/null
done
