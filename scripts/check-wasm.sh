#!/usr/bin/env bash
# Lints, for WebAssembly, the crates that run in the browser; a warning fails. Where only Debian's compiler builds for
# WebAssembly there is no clippy for it, and the compiler alone checks.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"
adopt_build_dir
crates=(-p videocall-types -p videocall-client -p yew-ui)
if [ -z "$(wasm_toolchain)" ]; then
  with_wasm cargo clippy --target "$WASM_TARGET" "${crates[@]}" -- -D warnings
else
  with_wasm cargo check --target "$WASM_TARGET" "${crates[@]}"
fi
