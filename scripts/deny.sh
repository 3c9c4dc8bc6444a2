#!/usr/bin/env bash
# Checks the dependencies against deny.toml: licences, advisories, duplicate versions, sources.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
if ! have cargo-deny; then
  say "compiling cargo-deny (ten minutes on two cores, once)"
  (cd "$HOME" && CARGO_TARGET_DIR="$TOOLS_DIR/build" cargo install -q cargo-deny --locked --root "$TOOLS_DIR" </dev/null)
  rm -rf "$TOOLS_DIR/build"
fi
cargo deny check
