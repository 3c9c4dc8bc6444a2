#!/usr/bin/env bash
# Brings everything a group of tasks needs; silent and instant when it is all there.
#   scripts/setup.sh run     to build and run the server and the web page
#   scripts/setup.sh test    to run every test
set -euo pipefail
scripts="$(dirname "$0")"
group="${1:-run}"
"$scripts/setup-system.sh" "$group"
"$scripts/setup-wasm.sh"
"$scripts/setup-tools.sh" "$group"
