#!/usr/bin/env bash
# Installs the build tools that are not Debian packages into the cache folder; does nothing when they are there.
#   scripts/setup-tools.sh [run] [test]      (default: run)
#     run    what builds the web page: wasm-bindgen, Trunk, the npm packages of yew-ui
#     test   run, and what the tests add: cargo-fuzz, the npm packages of e2e/browser
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# wasm-bindgen's generator refuses the output of any other version of its crate: the workspace pins the same one.
WASM_BINDGEN_VERSION=0.2.130
TRUNK_VERSION=0.21.14
CARGO_FUZZ_VERSION=0.13.1

# Whether a crate's tool is installed in exactly this version, by Cargo's own record of its install folder.
installed() { grep -qF "\"$1 $2 (" "$TOOLS_DIR/.crates.toml" 2>/dev/null; }

# install_crate NAME VERSION DURATION [CARGO_INSTALL_FLAGS...]
install_crate() {
  local name=$1 version=$2 duration=$3
  shift 3
  if installed "$name" "$version"; then return 0; fi
  say "compiling $name $version ($duration on two cores, once)"
  mkdir -p "$TOOLS_DIR"
  (
    # Outside of the checkout, whose Cargo settings are meant for the product.
    cd "$TOOLS_DIR"
    CARGO_TARGET_DIR="$TOOLS_DIR/build" cargo install -q "$name" --version "$version" --root "$TOOLS_DIR" "$@" </dev/null
  )
  rm -rf "$TOOLS_DIR/build"
}

# npm_packages FOLDER: installs what the folder's lock file says, when that differs from what is there.
npm_packages() {
  local folder="$REPO_ROOT/$1"
  [ -e "$folder/package-lock.json" ] || return 0
  if cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"; then return 0; fi
  say "installing the npm packages of $1 (a few seconds)"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null </dev/null)
  cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
}

setup_run() {
  # Without --locked, so that it also builds from a registry mirror that lags behind its lock file.
  install_crate wasm-bindgen-cli "$WASM_BINDGEN_VERSION" "five minutes"
  # With --locked it compiles, without it does not; the optimised build takes twice as long and is no faster to use.
  install_crate trunk "$TRUNK_VERSION" "five minutes" --locked --debug
  npm_packages yew-ui
}

setup_test() {
  setup_run
  install_crate cargo-fuzz "$CARGO_FUZZ_VERSION" "a minute" --locked
  npm_packages e2e/browser
}

for group in "${@:-run}"; do
  case $group in
    run) setup_run ;;
    test) setup_test ;;
    *) die "unknown group '$group'; the groups are run and test" ;;
  esac
done
