#!/usr/bin/env bash
# Runs docker compose on the project's own file.
#   scripts/compose.sh up|down [OPTIONS...]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
file="$REPO_ROOT/docker/compose.yaml"
[ -e "$file" ] || die "docker/compose.yaml is not there; start without containers by 'make run'"
have docker || die "Docker is not installed; see https://docs.docker.com/engine/install, or start without containers by 'make run'"
exec docker compose -f "$file" "$@"
