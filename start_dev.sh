#!/usr/bin/env bash
# Starts the services one by one, as they run in a cluster, and the page with reload on change:
#   PostgreSQL (unless DATABASE_URL names one) · nats-server 4222 · actix-api 8080 · webtransport-server 4433/udp ·
#   the page at http://127.0.0.1:8081
# Everything listens on the loopback interface alone. Ctrl-C stops what was started here, and nothing else.
# The database and the token secret stay in VIDEOCALL_DEV_DATA, by default below the cache folder.
set -euo pipefail
. "$(dirname "$0")/scripts/lib.sh"
cd "$REPO_ROOT"

POSTGRES_PORT="${POSTGRES_PORT:-54329}"
NATS_PORT=4222
READY_LIMIT_SECONDS=60

# PostgreSQL refuses to run as root, and its own user cannot enter root's home.
if [ "$(id -u)" -eq 0 ]; then
  DATA="${VIDEOCALL_DEV_DATA:-/var/lib/videocall-dev}"
  as_postgres() { su postgres -s /bin/sh -c "cd / && $(printf '%q ' "$@")"; }
else
  DATA="${VIDEOCALL_DEV_DATA:-$VIDEOCALL_CACHE/dev}"
  as_postgres() { "$@"; }
fi

pids=()
names=()
stop_postgres=''

stop() {
  trap - EXIT INT TERM
  say "stopping"
  local index
  for ((index = ${#pids[@]} - 1; index >= 0; index--)); do kill "${pids[index]}" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ -n "$stop_postgres" ]; then as_postgres "$POSTGRES_BIN/pg_ctl" -s -D "$DATA/postgres" -m fast stop || true; fi
}

# start NAME COMMAND...: in the background, its output marked with its name.
start() {
  local name=$1
  shift
  "$@" </dev/null > >(exec sed -u "s/^/[$name] /") 2>&1 &
  pids+=($!)
  names+=("$name")
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

require_free() {
  if listening "$1"; then die "port $1 ($2) is in use; stop what listens there first"; fi
}

# wait_for PORT NAME PID
wait_for() {
  local deadline=$((SECONDS + READY_LIMIT_SECONDS))
  until listening "$1"; do
    kill -0 "$3" 2>/dev/null || die "$2 ended before it listened on port $1; its output is above"
    [ $SECONDS -lt $deadline ] || die "$2 does not listen on port $1 after $READY_LIMIT_SECONDS s"
    sleep 0.1
  done
}

start_postgres() {
  local initdb
  initdb="$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1)" ||
    initdb="$(command -v initdb || true)"
  [ -n "$initdb" ] || die "PostgreSQL is missing; run scripts/setup-system.sh test"
  POSTGRES_BIN="$(dirname "$initdb")"
  require_free "$POSTGRES_PORT" PostgreSQL
  mkdir -p "$DATA/postgres"
  if [ "$(id -u)" -eq 0 ]; then chown postgres "$DATA/postgres"; fi
  if [ ! -e "$DATA/postgres/PG_VERSION" ]; then
    say "creating a database cluster in $DATA/postgres (a few seconds)"
    as_postgres "$POSTGRES_BIN/initdb" -D "$DATA/postgres" -U videocall -A trust -E UTF8 --locale=C >/dev/null
  fi
  as_postgres "$POSTGRES_BIN/pg_ctl" -s -w -D "$DATA/postgres" -l "$DATA/postgres/server.log" \
    -o "-c listen_addresses=127.0.0.1 -c port=$POSTGRES_PORT -c unix_socket_directories=$DATA/postgres" start ||
    die "PostgreSQL does not start; see $DATA/postgres/server.log"
  stop_postgres=yes
  if ! as_postgres "$POSTGRES_BIN/psql" -h 127.0.0.1 -p "$POSTGRES_PORT" -U videocall -d videocall -c '' 2>/dev/null; then
    as_postgres "$POSTGRES_BIN/createdb" -h 127.0.0.1 -p "$POSTGRES_PORT" -U videocall videocall
  fi
  export DATABASE_URL="postgres://videocall@127.0.0.1:$POSTGRES_PORT/videocall"
}

start_nats() {
  if listening "$NATS_PORT"; then
    say "using the NATS server that listens on port $NATS_PORT"
  else
    have nats-server || die "nats-server is missing; run scripts/setup-system.sh test"
    start nats nats-server -a 127.0.0.1 -p "$NATS_PORT"
    wait_for "$NATS_PORT" nats-server "${pids[-1]}"
  fi
  export NATS_URL="nats://127.0.0.1:$NATS_PORT"
}

load_token_secret() {
  if [ ! -s "$DATA/token-secret" ]; then
    (umask 077 && head -c 32 /dev/urandom | base64 -w 0 >"$DATA/token-secret")
  fi
  VIDEOCALL_TOKEN_SECRET="$(cat "$DATA/token-secret")"
  export VIDEOCALL_TOKEN_SECRET
}

require_free 8080 actix-api
require_free 8081 "the page"
require_free 4434 "webtransport-server's health page"
scripts/setup.sh test
adopt_build_dir
say "building the servers (five minutes the first time, seconds after a change)"
cargo build -p actix-api -p webtransport-server </dev/null
with_wasm cargo fetch -q --target "$WASM_TARGET" </dev/null

mkdir -p "$DATA"
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
load_token_secret
[ -n "${DATABASE_URL:-}" ] || start_postgres
start_nats

binaries="$CARGO_TARGET_DIR/debug"
# The page comes from another port than the server it talks to.
start actix-api "$binaries/actix-api" --bind 127.0.0.1:8080 --log-format pretty \
  --allowed-origin http://127.0.0.1:8081 --allowed-origin http://localhost:8081
wait_for 8080 actix-api "${pids[-1]}"
start webtransport-server "$binaries/webtransport-server" --bind 127.0.0.1:4433 --health-bind 127.0.0.1:4434 \
  --log-format pretty
wait_for 4434 webtransport-server "${pids[-1]}"

say "building the page (two minutes the first time); it opens at http://127.0.0.1:8081 and reloads on change"
serve_page() {
  cd yew-ui
  enter_wasm_env
  exec trunk --offline --skip-version-check --log warn serve --dist "$BUILD_DIR/ui-serve"
}
start page serve_page

# One service that ends takes the others with it: half a system is harder to understand than none.
ended=''
wait -n -p ended "${pids[@]}" || true
for index in "${!pids[@]}"; do
  if [ "${pids[index]}" = "$ended" ]; then die "${names[index]} ended; its output is above"; fi
done
