#!/usr/bin/env bash
# Lints the whole workspace natively; a warning fails.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
adopt_build_dir
cargo clippy --workspace --all-targets -- -D warnings
