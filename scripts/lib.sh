# shellcheck shell=bash
# What every script needs: where build output and tools live, how a step announces itself, which toolchain builds
# WebAssembly. Source it; on its own it prints nothing, installs nothing and changes no shell option.

REPO_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
export VIDEOCALL_CACHE="${VIDEOCALL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/videocall}"

TOOLS_DIR="$VIDEOCALL_CACHE/tools"
WASM_TARGET=wasm32-unknown-unknown

# Versions that have to agree with the workspace: wasm-bindgen's generator refuses any other version of its crate.
WASM_BINDGEN_VERSION=0.2.130
TRUNK_VERSION=0.21.14
CARGO_FUZZ_VERSION=0.13.1

# The folder of this checkout's build output. Each checkout has its own: Cargo tells checkouts apart by file times
# alone, so two that share one folder hand each other stale binaries. A checkout's folder is created from another's
# by `adopt_build_dir`, so even a fresh clone compiles only this workspace's own crates.
BUILD_DIR="$VIDEOCALL_CACHE/build/$(printf '%s' "$REPO_ROOT" | cksum | cut -d' ' -f1)"
export CARGO_TARGET_DIR="$BUILD_DIR/target"
WASM_TARGET_DIR="$BUILD_DIR/target-wasm"

# rustup's proxies come first, so that the `RUSTUP_TOOLCHAIN` set below is obeyed even where the distribution has its
# own /usr/bin/cargo.
case ":$PATH:" in
  *":$TOOLS_DIR/bin:"*) ;;
  *)
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/rustup" ]; then PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"; fi
    export PATH="$TOOLS_DIR/bin:$PATH"
    ;;
esac

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root: directly, or through sudo after saying so.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo; then
    say "root is needed, through sudo, for: $*"
    sudo "$@"
  else
    die "root is needed and sudo is not installed; run as root: $*"
  fi
}

# Prints the name of the rustup toolchain that builds WebAssembly: empty for the default one, `debian` for the one
# scripts/setup-wasm.sh assembles from Debian's packages. Fails when there is none yet.
wasm_toolchain() {
  local libdir
  libdir="$(cd "$REPO_ROOT" && rustc --print target-libdir --target "$WASM_TARGET" 2>/dev/null)" || libdir=
  if [ -n "$libdir" ] && compgen -G "$libdir/libstd-*.rlib" >/dev/null; then
    return 0
  fi
  if [ "$(cat "$DEBIAN_SYSROOT/complete" 2>/dev/null)" = "$(debian_rustc_version)" ] && [ -d "$DEBIAN_SYSROOT" ]; then
    echo debian
    return 0
  fi
  return 1
}

DEBIAN_SYSROOT="$VIDEOCALL_CACHE/toolchains/debian"
debian_rustc_version() { /usr/bin/rustc -V 2>/dev/null || echo none; }

# Runs a command with the toolchain and the output folder of WebAssembly builds. They have a folder of their own so
# that a native and a WebAssembly build don't wait for each other's lock.
with_wasm() {
  local toolchain
  toolchain="$(wasm_toolchain)" || die "no toolchain for $WASM_TARGET; run scripts/setup-wasm.sh"
  CARGO_TARGET_DIR="$WASM_TARGET_DIR" ${toolchain:+env RUSTUP_TOOLCHAIN="$toolchain"} "$@"
}

# Gives a checkout that has no build output yet that of another one: moved when the other checkout is gone, copied
# otherwise. Only dependencies survive; what this workspace itself compiled is dropped and compiled anew.
adopt_build_dir() {
  [ -d "$BUILD_DIR" ] && return 0
  mkdir -p "$VIDEOCALL_CACHE/build"
  (
    flock 9
    [ -d "$BUILD_DIR" ] && exit 0
    local other orphan='' newest='' incoming="$VIDEOCALL_CACHE/build/.incoming"
    rm -rf "$incoming"
    for other in $(ls -td "$VIDEOCALL_CACHE"/build/*/ 2>/dev/null); do
      if [ -e "$(cat "$other/checkout" 2>/dev/null)/Cargo.toml" ]; then
        : "${newest:=$other}"
      elif [ -z "$orphan" ]; then
        orphan=$other
      else
        rm -rf "$other"
      fi
    done
    if [ -n "$orphan" ]; then
      mv "$orphan" "$incoming"
    elif [ -n "$newest" ]; then
      say "copying compiled dependencies from the build output of $(cat "$newest/checkout") (up to a minute)"
      mkdir "$incoming"
      copy_build_output "$newest" "$incoming"
    else
      mkdir "$incoming"
    fi
    forget_own_crates "$incoming"
    printf '%s\n' "$REPO_ROOT" >"$incoming/checkout"
    mv "$incoming" "$BUILD_DIR"
  ) 9>"$VIDEOCALL_CACHE/build/.lock"
}

# Copies under Cargo's own locks, so that no build writes meanwhile.
copy_build_output() {
  local from=$1 to=$2 lock
  (
    for lock in "$from"/*/debug/.cargo-lock "$from"/*/*/debug/.cargo-lock; do
      [ -e "$lock" ] || continue
      exec {fd}<"$lock"
      flock -s "$fd"
    done
    cp -a --reflink=auto "$from"/target* "$to"/ 2>/dev/null || true
  )
}

forget_own_crates() {
  local name
  for name in $(sed -n 's/^name = "\(.*\)"/\1/p' "$REPO_ROOT"/*/Cargo.toml | sort -u); do
    rm -rf "$1"/*/*/.fingerprint/"$name"-* "$1"/*/*/*/.fingerprint/"$name"-*
  done
}
