#!/usr/bin/env bash
# Removes this checkout's build output. The tools in the cache folder stay, for other checkouts use them too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
rm -rf "$BUILD_DIR" "$REPO_ROOT/yew-ui/dist" "$REPO_ROOT/yew-ui/.generated"
