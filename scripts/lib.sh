# shellcheck shell=bash
# shellcheck disable=SC2034 # the variables are for the scripts that source this
# What every script needs: where build output and tools live, how a step announces itself, which toolchain builds
# WebAssembly. Source it; on its own it prints nothing, installs nothing and changes no shell option.

REPO_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
export VIDEOCALL_CACHE="${VIDEOCALL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/videocall}"

TOOLS_DIR="$VIDEOCALL_CACHE/tools"
WASM_TARGET=wasm32-unknown-unknown

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
    # Debian keeps nats-server in /usr/sbin, which is not on everyone's path.
    export PATH="$TOOLS_DIR/bin:$PATH:/usr/sbin"
    ;;
esac

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# A thousand sessions are a few thousand open files.
raise_file_limit() { ulimit -n "$(ulimit -Hn)" 2>/dev/null || true; }

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

# Turns this shell's environment into that of WebAssembly builds: their toolchain, and an output folder of their own,
# so that a native and a WebAssembly build don't wait for each other's lock. RUSTFLAGS would replace .cargo/config.toml's.
enter_wasm_env() {
  local toolchain
  toolchain="$(wasm_toolchain)" || die "no toolchain for $WASM_TARGET; run scripts/setup-wasm.sh"
  export CARGO_TARGET_DIR="$WASM_TARGET_DIR"
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
  if [ -n "$toolchain" ]; then export RUSTUP_TOOLCHAIN="$toolchain"; fi
}

with_wasm() (
  enter_wasm_env
  exec "$@"
)

# Gives a checkout that has no build output yet that of another one: moved when the other checkout is gone, copied
# otherwise. Only dependencies survive; what this workspace itself compiled is dropped and compiled anew.
adopt_build_dir() {
  if [ ! -d "$BUILD_DIR" ]; then
    mkdir -p "$VIDEOCALL_CACHE/build"
    if have flock; then
      (flock 9 && create_build_dir) 9>"$VIDEOCALL_CACHE/build/.lock"
    else
      mkdir "$BUILD_DIR"
    fi
  fi
  # The file's time says which build output was used last, its text whose it is.
  printf '%s\n' "$REPO_ROOT" >"$BUILD_DIR/checkout"
}

create_build_dir() {
  [ ! -d "$BUILD_DIR" ] || return 0
  local other abandoned='' newest='' incoming="$VIDEOCALL_CACHE/build/.incoming"
  rm -rf "$incoming"
  for other in "$VIDEOCALL_CACHE"/build/*/checkout; do
    [ -e "$other" ] || continue
    if [ -e "$(cat "$other")/Cargo.toml" ]; then
      if [ "$other" -nt "$newest" ]; then newest=$other; fi
    elif [ "$other" -nt "$abandoned" ]; then
      if [ -n "$abandoned" ]; then rm -rf "$(dirname "$abandoned")"; fi
      abandoned=$other
    else
      rm -rf "$(dirname "$other")"
    fi
  done
  if [ -n "$abandoned" ]; then
    mv "$(dirname "$abandoned")" "$incoming"
  else
    mkdir "$incoming"
    if [ -n "$newest" ]; then copy_build_output "$newest" "$incoming"; fi
  fi
  forget_own_crates "$incoming"
  mv "$incoming" "$BUILD_DIR"
}

# Copies under Cargo's own locks, so that no build writes meanwhile.
copy_build_output() (
  from="$(dirname "$1")"
  say "copying compiled dependencies from the build output of $(cat "$1") (a minute, or until its build is done)"
  for lock in "$from"/*/debug/.cargo-lock "$from"/*/release/.cargo-lock "$from"/*/*/*/.cargo-lock; do
    [ -e "$lock" ] || continue
    exec {held}<"$lock"
    flock -s "$held"
  done
  # Incremental state is of this workspace's own crates alone. The format keeps the fractions of file times, by which
  # Cargo tells what is stale; what fails to arrive is compiled again.
  tar -C "$from" --format=posix --exclude=incremental -cf - . 2>/dev/null | tar -C "$2" -xf - || true
)

forget_own_crates() {
  local name
  sed -n 's/^name = "\(.*\)"/\1/p' "$REPO_ROOT"/*/Cargo.toml | sort -u | while read -r name; do
    rm -rf "$1"/*/*/.fingerprint/"$name"-* "$1"/*/*/*/.fingerprint/"$name"-*
  done
}
