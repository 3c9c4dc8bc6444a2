#!/usr/bin/env bash
# Makes sure that some toolchain compiles for WebAssembly; does nothing when one does.
# The ordinary way is `rustup target add`. Where rustup's servers cannot be reached, Debian's package archive carries
# a compiler with the standard library's source, from which a second toolchain named `debian` is assembled.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

RUSTUP_LIMIT_SECONDS=90
DEBIAN_PACKAGES=(cargo-web rustc-web rust-web-src lld-22)

add_with_rustup() {
  have rustup || return 1
  say "adding the Rust target $WASM_TARGET with rustup (half a minute)"
  local output
  if ! output="$(cd "$REPO_ROOT" && timeout "$RUSTUP_LIMIT_SECONDS" rustup -q target add "$WASM_TARGET" 2>&1 </dev/null)"; then
    say "rustup could not: $(head -n 1 <<<"${output:-no answer within $RUSTUP_LIMIT_SECONDS s}")"
    return 1
  fi
}

install_debian_compiler() {
  have apt-get || die "rustup cannot add $WASM_TARGET and this is not a Debian system; install that target's standard library for the Rust compiler in use"
  have rustup || die "rustup is needed to select the toolchain for WebAssembly; see https://rustup.rs"
  if dpkg-query -W "${DEBIAN_PACKAGES[@]}" >/dev/null 2>&1 && [ -x /usr/bin/cargo ]; then return 0; fi
  say "installing Debian's Rust compiler for WebAssembly: ${DEBIAN_PACKAGES[*]} (a minute)"
  as_root apt-get update -q >/dev/null </dev/null
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${DEBIAN_PACKAGES[@]}" >/dev/null </dev/null
}

# A folder of links to Debian's compiler, to which the standard library for WebAssembly can be added without writing
# below /usr. The compiler derives its own folder from where it is installed, so a wrapper names this one.
assemble_sysroot() {
  local sysroot=$1 host
  host="$(/usr/bin/rustc -vV | sed -n 's/^host: //p')"
  mkdir -p "$sysroot/bin" "$sysroot/lib/rustlib/$host/bin" "$sysroot/lib/rustlib/$WASM_TARGET/lib"
  printf '#!/bin/sh\nexec /usr/bin/rustc --sysroot %q "$@"\n' "$DEBIAN_SYSROOT" >"$sysroot/bin/rustc"
  chmod +x "$sysroot/bin/rustc"
  ln -sfn /usr/bin/cargo "$sysroot/bin/cargo"
  ln -sfn "/usr/lib/rustlib/$host/lib" "$sysroot/lib/rustlib/$host/lib"
  ln -sfn /usr/bin/lld-22 "$sysroot/lib/rustlib/$host/bin/rust-lld"
  ln -sfn /usr/lib/rustlib/src "$sysroot/lib/rustlib/src"
}

# Builds std for WebAssembly from an empty crate. Bitcode stays embedded, or link-time optimisation fails later.
build_std() {
  local sysroot=$1 work
  work="$(mktemp -d)"
  mkdir "$work/src"
  printf '[package]\nname = "empty"\nedition = "2021"\n\n[profile.release]\npanic = "abort"\n' >"$work/Cargo.toml"
  : >"$work/src/lib.rs"
  say "compiling Rust's standard library for $WASM_TARGET (a minute)"
  (
    cd "$work"
    env -u RUSTUP_TOOLCHAIN CARGO_TARGET_DIR="$work/target" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
      RUSTFLAGS=-Cembed-bitcode=yes \
      /usr/bin/cargo -q build --release --target "$WASM_TARGET" -Z build-std=std,panic_abort,proc_macro,test </dev/null
  )
  find "$work/target/$WASM_TARGET/release/deps" -name 'lib*.rlib' ! -name 'libempty-*' \
    -exec cp -t "$sysroot/lib/rustlib/$WASM_TARGET/lib" {} +
  rm -rf "$work"
}

assemble_debian_toolchain() {
  install_debian_compiler
  mkdir -p "$(dirname "$DEBIAN_SYSROOT")"
  rm -rf "$DEBIAN_SYSROOT"
  assemble_sysroot "$DEBIAN_SYSROOT"
  build_std "$DEBIAN_SYSROOT"
  rustup toolchain link debian "$DEBIAN_SYSROOT"
  debian_rustc_version >"$DEBIAN_SYSROOT/complete"
}

if wasm_toolchain >/dev/null; then exit 0; fi
add_with_rustup || assemble_debian_toolchain
wasm_toolchain >/dev/null || die "no toolchain compiles for $WASM_TARGET even now; the messages above say why"
