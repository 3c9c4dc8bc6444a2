#!/usr/bin/env bash
# Counts the instructions of a forwarded packet in relay-core and compares them with relay-core/instructions.txt.
#   VIDEOCALL_WRITE_BASELINE=1 scripts/count-instructions.sh      records them
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
adopt_build_dir
cargo run --quiet --release -p relay-core --example instructions </dev/null
