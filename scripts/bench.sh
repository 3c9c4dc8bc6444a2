#!/usr/bin/env bash
# Runs the benchmarks, optimised.
#   scripts/bench.sh [ARGUMENTS FOR cargo bench...]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
adopt_build_dir
say "building and running the benchmarks (ten minutes the first time)"
cargo bench --workspace "$@"
