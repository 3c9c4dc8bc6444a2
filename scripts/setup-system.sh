#!/usr/bin/env bash
# Installs the Debian packages this project needs, by group; does nothing when they are there.
#   scripts/setup-system.sh [run] [build] [test]      (default: build)
#     run    what building and running the server and the web page takes
#     build  run, and GStreamer's headers and plugins for videocall-cli
#     test   build, and the browsers with a screen and a sound card, services and valgrind that the tests start
set -euo pipefail
. "$(dirname "$0")/lib.sh"

RUN_PACKAGES=(gcc g++ libc6-dev pkg-config)
BUILD_PACKAGES=(
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
)
TEST_PACKAGES=(chromium firefox-esr iproute2 nats-server postgresql pulseaudio valgrind xvfb)

packages_of() {
  case $1 in
    run) echo "${RUN_PACKAGES[@]}" ;;
    build) echo "${RUN_PACKAGES[@]}" "${BUILD_PACKAGES[@]}" ;;
    test) echo "${RUN_PACKAGES[@]}" "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" ;;
    *) die "unknown group '$1'; the groups are run, build and test" ;;
  esac
}

wanted=()
for group in "${@:-build}"; do
  packages="$(packages_of "$group")"
  read -ra packages <<<"$packages"
  wanted+=("${packages[@]}")
done

# A program that is already there, from wherever it came, needs no package.
provided() {
  case $1 in
    gcc) have cc ;;
    g++) have c++ ;;
    pkg-config) have pkg-config ;;
    libgstreamer1.0-dev) pkg-config --exists gstreamer-1.0 2>/dev/null ;;
    libgstreamer-plugins-base1.0-dev) pkg-config --exists gstreamer-app-1.0 gstreamer-video-1.0 2>/dev/null ;;
    chromium) have chromium || have chromium-browser || have google-chrome ;;
    iproute2) have ip ;;
    valgrind) have valgrind ;;
    firefox-esr) have firefox-esr || have firefox ;;
    pulseaudio) have pulseaudio ;;
    xvfb) have Xvfb ;;
    nats-server) have nats-server || [ -x /usr/sbin/nats-server ] ;;
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb ;;
    gstreamer1.0-plugins-*) plugin_there "${1#gstreamer1.0-plugins-}" ;;
    *) return 1 ;;
  esac
}

# One plugin of each set stands for the set: the encoders and sources the CLI uses.
plugin_there() {
  local directory plugin
  directory="$(pkg-config --variable=pluginsdir gstreamer-1.0 2>/dev/null)" || return 1
  case $1 in
    base) plugin=opus ;;
    good) plugin=vpx ;;
    bad) plugin=videoparsersbad ;;
    ugly) plugin=x264 ;;
  esac
  compgen -G "$directory/libgst$plugin.*" >/dev/null
}

missing=()
for package in "${wanted[@]}"; do
  if provided "$package"; then continue; fi
  if have dpkg-query && dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed'; then
    continue
  fi
  missing+=("$package")
done

# Node.js is looked for by name and version, not by package: distributions' own versions are often too old.
node_is_recent() { have npm && node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null; }
node_is_recent || die "Node.js 20 or later with npm is needed to build the web page; see https://nodejs.org/en/download"
have cargo || die "Rust is needed; see https://rustup.rs"

[ ${#missing[@]} -eq 0 ] && exit 0

if ! have apt-get; then
  printf 'These packages (by their Debian names) are missing:\n' >&2
  printf '  %s\n' "${missing[@]}" >&2
  cat >&2 <<'HINT'
Install what your system calls them, for example:
  Fedora:  dnf install gcc-c++ pkgconf gstreamer1-devel gstreamer1-plugins-base-devel gstreamer1-plugins-good \
             gstreamer1-plugins-bad-free gstreamer1-plugins-ugly chromium firefox postgresql-server nats-server \
             pulseaudio xorg-x11-server-Xvfb
  Arch:    pacman -S base-devel gstreamer gst-plugins-base gst-plugins-good gst-plugins-bad gst-plugins-ugly \
             chromium firefox postgresql nats-server pulseaudio xorg-server-xvfb
  macOS:   brew install pkg-config gstreamer nats-server postgresql
HINT
  exit 1
fi

say "installing Debian packages: ${missing[*]} (one to three minutes)"
install_missing() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
# The package lists are refreshed first: a stale list names versions the archive no longer has.
if ! { as_root apt-get update -q && install_missing; } >"$log" 2>&1 </dev/null; then
  tail -n 30 "$log" >&2
  die "apt-get failed; its last lines are above"
fi
