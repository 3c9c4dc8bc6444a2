#!/usr/bin/env bash
# Builds the web page with Trunk, offline once the crates are fetched; skips the work when nothing changed.
#   scripts/build-ui.sh [--release|--dev] [--out FOLDER]      (default: --release, into yew-ui/dist)
# A development build is quick to make and ten times as large; it is neither optimised nor compressed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

profile=release
out="$REPO_ROOT/yew-ui/dist"
while [ $# -gt 0 ]; do
  case $1 in
    --release) profile=release ;;
    --dev) profile=dev ;;
    --out) out="$(realpath -m "${2:?--out needs a folder}")" && shift ;;
    *) die "unknown option '$1'; usage: scripts/build-ui.sh [--release|--dev] [--out FOLDER]" ;;
  esac
  shift
done

cd "$REPO_ROOT"
adopt_build_dir
metadata="$(cargo metadata --no-deps --offline --format-version 1)"
fingerprint="$profile $(node scripts/ui-fingerprint.mjs <<<"$metadata")"
if [ "$(cat "$out/.fingerprint" 2>/dev/null)" = "$fingerprint" ]; then exit 0; fi

staging="$BUILD_DIR/ui-$profile"
trunk_flags=(--offline --dist "$staging")
if [ "$profile" = release ]; then
  say "building the web page, optimised (five minutes the first time, one after a change)"
  trunk_flags+=(--release --cargo-profile wasm-release)
else
  say "building the web page, unoptimised (two minutes the first time, seconds after a change)"
fi

# Trunk's offline mode is also Cargo's: it keeps Trunk from downloading tools that are on PATH already, and needs the
# crates to be there.
with_wasm cargo fetch -q --target "$WASM_TARGET" </dev/null
rm -rf "$staging"
(cd yew-ui && with_wasm trunk --skip-version-check --log warn build "${trunk_flags[@]}" </dev/null >&2)

if [ "$profile" = release ]; then
  node scripts/finish-ui.mjs "$staging" --release "$REPO_ROOT/yew-ui/node_modules/binaryen/bin/wasm-opt"
else
  node scripts/finish-ui.mjs "$staging"
fi

# Swapped in at once, so that a running server never sees half a page.
printf '%s\n' "$fingerprint" >"$staging/.fingerprint"
mkdir -p "$(dirname "$out")"
rm -rf "$out.new" "$out.old"
cp -r "$staging" "$out.new"
if [ -e "$out" ]; then mv "$out" "$out.old"; fi
mv "$out.new" "$out"
rm -rf "$out.old"
