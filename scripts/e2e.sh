#!/usr/bin/env bash
# Runs the end-to-end tests: real servers, real browsers. Builds the servers and the web page first.
#   scripts/e2e.sh [TEST FILE OR node --test OPTION...]      (default: every e2e/browser/*.test.mjs)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

shopt -s nullglob
tests=(e2e/browser/*.test.mjs)
if [ $# -gt 0 ]; then tests=("$@"); fi
if [ ${#tests[@]} -eq 0 ]; then
  say "no end-to-end tests here"
  exit 0
fi
adopt_build_dir
cargo build --workspace --exclude yew-ui --bins
scripts/build-ui.sh
export VIDEOCALL_BIN_DIR="$CARGO_TARGET_DIR/debug"
export VIDEOCALL_UI_DIR="$REPO_ROOT/yew-ui/dist"
# One file at a time: every test has several browser pages that encode and decode.
node --test --test-concurrency=1 "${tests[@]}" </dev/null
