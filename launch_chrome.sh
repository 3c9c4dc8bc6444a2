#!/usr/bin/env bash
# Opens Chromium or Chrome, with a fresh profile, prepared for a relay whose certificate nobody else vouches for.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: launch_chrome.sh [--cert FILE | --fetch HOST:PORT] [--relay HOST:PORT]... [--fake-media] [URL] [-- FLAG...]

A page that opens WebTransport by serverCertificateHashes, as the one of 'make run' does, needs no special browser.
This script is for relays with a self-signed certificate that is valid for longer than two weeks, or is not ECDSA.

  --cert FILE         trust this certificate (PEM), and no other unknown one
  --fetch HOST:PORT   trust the certificate that a TLS server presents there now
  --relay HOST:PORT   speak QUIC with this relay from the first request (default: 127.0.0.1:4433)
  --fake-media        a test picture and beeps in place of camera and microphone, and no permission prompts
  URL                 the page to open (default: http://127.0.0.1:8081/)
  -- FLAG...          more flags for the browser

The browser is $CHROME, or the first one found. Its profile is removed when it closes.

Examples:
  ./launch_chrome.sh --cert certs/relay.pem http://127.0.0.1:8081/meeting/ada/standup
  ./launch_chrome.sh --fetch relay.example.org:443 --relay relay.example.org:443 https://meet.example.org/
  ./launch_chrome.sh --cert certs/relay.pem --fake-media -- --incognito
USAGE
}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

find_browser() {
  local candidate
  for candidate in "${CHROME:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    if [ -n "$candidate" ] && command -v "$candidate" 2>/dev/null; then return 0; fi
  done
  die "no Chromium or Chrome found; install one or name it in CHROME"
}

# The hash Chromium identifies a key by: SHA-256 over the certificate's SubjectPublicKeyInfo (RFC 7469 §2.4).
spki_hash() {
  openssl x509 -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64 -A
}

certificate=''
fetch_from=''
relays=()
url='http://127.0.0.1:8081/'
flags=(
  --no-first-run --no-default-browser-check --disable-sync
  --autoplay-policy=no-user-gesture-required
)

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage && exit 0 ;;
    --cert) certificate="${2:?--cert needs a file}" && shift ;;
    --fetch) fetch_from="${2:?--fetch needs HOST:PORT}" && shift ;;
    --relay) relays+=("${2:?--relay needs HOST:PORT}") && shift ;;
    --fake-media) flags+=(--use-fake-device-for-media-stream --use-fake-ui-for-media-stream) ;;
    --) shift && flags+=("$@") && break ;;
    -*) die "unknown option '$1'; see --help" ;;
    *) url=$1 ;;
  esac
  shift
done
[ ${#relays[@]} -gt 0 ] || relays=(127.0.0.1:4433)

if [ -n "$certificate" ]; then
  [ -r "$certificate" ] || die "cannot read the certificate $certificate"
  hash="$(spki_hash <"$certificate")" || die "$certificate holds no PEM certificate"
elif [ -n "$fetch_from" ]; then
  hash="$(openssl s_client -connect "$fetch_from" -servername "${fetch_from%:*}" </dev/null 2>/dev/null | spki_hash)" ||
    die "no TLS server answers at $fetch_from; a relay that speaks QUIC alone cannot be asked: give its certificate by --cert"
fi
if [ -n "${hash:-}" ]; then flags+=("--ignore-certificate-errors-spki-list=$hash"); fi

browser="$(find_browser)"
flags+=("--origin-to-force-quic-on=$(IFS=, && echo "${relays[*]}")")
# Chromium's sandbox refuses to run as root.
if [ "$(id -u)" -eq 0 ]; then flags+=(--no-sandbox); fi

profile="$(mktemp -d)"
trap 'rm -rf "$profile"' EXIT
"$browser" "--user-data-dir=$profile" "${flags[@]}" "$url"
