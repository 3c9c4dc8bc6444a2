#!/usr/bin/env bash
# Fails when a Rust file is not formatted; `make fmt` formats them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
cargo fmt --all --check
if [ -e fuzz/Cargo.toml ]; then cargo fmt --manifest-path fuzz/Cargo.toml --check; fi
