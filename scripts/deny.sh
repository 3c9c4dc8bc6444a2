#!/usr/bin/env bash
# Checks the dependencies against deny.toml: licences, advisories, duplicate versions, sources.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

CARGO_DENY_VERSION=0.20.2
if ! have cargo-deny; then
  say "compiling cargo-deny $CARGO_DENY_VERSION (four minutes on two cores, once)"
  (
    cd "$HOME"
    CARGO_TARGET_DIR="$TOOLS_DIR/build" cargo install -q cargo-deny --version "$CARGO_DENY_VERSION" --locked --root "$TOOLS_DIR" </dev/null
  )
  rm -rf "$TOOLS_DIR/build"
fi
cargo deny check
