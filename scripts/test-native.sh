#!/usr/bin/env bash
# Runs the workspace's own tests and its documentation's examples.
#   scripts/test-native.sh [ARGUMENTS FOR THE TEST RUNNER...]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
adopt_build_dir
# Tests that start the servers find them here, whichever runner starts the tests.
export VIDEOCALL_BIN_DIR="$CARGO_TARGET_DIR/debug"
cargo build --workspace --exclude yew-ui --bins
if have cargo-nextest; then
  cargo nextest run --workspace --no-tests=pass "$@"
else
  cargo test --workspace --lib --bins --tests "$@"
fi
# nextest does not run documentation's examples.
[ $# -gt 0 ] || cargo test --workspace --doc
