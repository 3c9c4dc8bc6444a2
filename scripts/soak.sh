#!/usr/bin/env bash
# Lets people come, go, vanish and not read on two relays and NATS, and fails when a process's memory grows.
#   scripts/soak.sh [SECONDS]      (default: 600; a minute at least, or there is nothing to judge)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
adopt_build_dir
raise_file_limit
say "building the servers and the load, optimised (ten minutes the first time, one or two after a change)"
cargo build --release -p actix-api -p webtransport-server -p e2e --bins </dev/null
VIDEOCALL_BIN_DIR="$CARGO_TARGET_DIR/release" exec "$CARGO_TARGET_DIR/release/soak" "$@" </dev/null
