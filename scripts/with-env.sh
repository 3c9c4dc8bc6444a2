#!/usr/bin/env bash
# Runs one command as the scripts run theirs: the same build output, the same tools.
#   scripts/with-env.sh cargo test -p relay-core
set -euo pipefail
. "$(dirname "$0")/lib.sh"
adopt_build_dir
exec "$@"
