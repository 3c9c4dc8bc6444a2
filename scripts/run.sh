#!/usr/bin/env bash
# Builds what is needed and starts the whole product as one process, with the web page.
#   scripts/run.sh [OPTIONS OF videocall-server...]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

scripts/setup.sh run
scripts/build-ui.sh --release

adopt_build_dir
server="$CARGO_TARGET_DIR/release/videocall-server"
if [ -x "$server" ] && [ -z "$(find ./*/src ./*/Cargo.toml Cargo.toml Cargo.lock -newer "$server" -print -quit)" ]; then
  quiet=-q
else
  say "building the server, optimised (ten minutes the first time, one or two after a change)"
  quiet=
fi
cargo build ${quiet:+"$quiet"} --release -p videocall-server --bin videocall-server </dev/null
exec "$server" --ui-dir "$REPO_ROOT/yew-ui/dist" "$@"
