#!/usr/bin/env bash
# Everything that continuous integration runs, in order; stops at the first failure and says how long each step took.
#   scripts/test.sh [STEP...]      (default: all)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$REPO_ROOT"

STEPS=(setup fmt clippy native instructions wasm ui fuzz e2e)

command_of() {
  case $1 in
    setup) echo scripts/setup.sh test ;;
    fmt) echo scripts/check-fmt.sh ;;
    clippy) echo scripts/check-clippy.sh ;;
    native) echo scripts/test-native.sh ;;
    instructions) echo scripts/count-instructions.sh ;;
    wasm) echo scripts/check-wasm.sh ;;
    ui) echo scripts/build-ui.sh --release ;;
    fuzz) echo scripts/fuzz.sh --repeatable 60 ;;
    e2e) echo scripts/e2e.sh ;;
    *) die "unknown step '$1'; the steps are ${STEPS[*]}" ;;
  esac
}

summary=()
report() {
  printf '\n'
  printf '%s\n' "${summary[@]}"
}

if [ $# -eq 0 ]; then set -- "${STEPS[@]}"; fi
for step in "$@"; do
  command="$(command_of "$step")"
  printf '\n──── %s: %s ────\n' "$step" "$command"
  started=$SECONDS
  status=0
  # shellcheck disable=SC2086 # the command is a script and its arguments
  $command </dev/null || status=$?
  taken=$((SECONDS - started))
  if [ "$status" -ne 0 ]; then
    summary+=("$(printf '%-12s FAILED after %4d s' "$step" "$taken")")
    report
    exit "$status"
  fi
  summary+=("$(printf '%-12s %4d s' "$step" "$taken")")
done
report
