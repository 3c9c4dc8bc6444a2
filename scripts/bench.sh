#!/usr/bin/env bash
# Runs the benchmarks, optimised, on this machine alone: relays under load, the way into a meeting, and designs of the
# fan-out that were compared.
# Figures are printed and written to bench-results/.
#   scripts/bench.sh [relay] [join] [latency] [network] [designs] [congestion] [-- OPTIONS OF THE BENCHMARK...]      (default: relay and join)
# The relays' benchmark takes names of loads and carriers: scripts/bench.sh relay -- stage-50 town-hall-1000 websocket
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

bench_relay() { "$VIDEOCALL_BIN_DIR/bench_relay" "$@"; }

bench_join() {
  scripts/build-ui.sh --release
  VIDEOCALL_UI_DIR="$REPO_ROOT/yew-ui/dist" node e2e/browser/bench/join.mjs
}

bench_latency() {
  scripts/build-ui.sh --release
  VIDEOCALL_UI_DIR="$REPO_ROOT/yew-ui/dist" node e2e/browser/bench/latency.mjs "$@"
}

# Its browsers sit in a network namespace of its own.
bench_network() {
  [ "$(id -u)" -eq 0 ] || die "the network's benchmark makes a network of its own; run it as root"
  scripts/build-ui.sh --release
  VIDEOCALL_UI_DIR="$REPO_ROOT/yew-ui/dist" node e2e/browser/bench/network.mjs "$@"
}

bench_designs() { "$VIDEOCALL_BIN_DIR/bench_designs" "$@"; }

# On simulated networks, where what the machine does meanwhile does not matter, and of a relay behind a proxy.
bench_congestion() {
  cargo bench -p media-congestion --bench congestion
  "$VIDEOCALL_BIN_DIR/bench_congestion" "$@"
}

names=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  declare -F "bench_$1" >/dev/null || die "unknown benchmark '$1'; there are relay, join, latency, network, designs and congestion"
  names+=("$1")
  shift
done
if [ $# -gt 0 ]; then shift; fi
if [ ${#names[@]} -eq 0 ]; then names=(relay join); fi

adopt_build_dir
raise_file_limit
say "building the servers and the load, optimised (ten minutes the first time, one or two after a change)"
packages=()
for name in "${names[@]}"; do
  case $name in
    join | latency) packages+=(-p videocall-server -p videocall-cli) ;;
    network | congestion) packages+=(-p videocall-server -p e2e) ;;
    *) packages+=(-p videocall-server -p actix-api -p webtransport-server -p e2e) ;;
  esac
done
cargo build --release "${packages[@]}" --bins </dev/null
export VIDEOCALL_BIN_DIR="$CARGO_TARGET_DIR/release"
for name in "${names[@]}"; do
  printf '\n──── %s ────\n' "$name"
  "bench_$name" "$@" </dev/null
done
