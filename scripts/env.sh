# shellcheck shell=bash
# Source it for a shell with the scripts' environment: `. scripts/env.sh`. Valid for this checkout alone.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
adopt_build_dir
