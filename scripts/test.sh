#!/usr/bin/env bash
# All tests, in three strands. The longest mostly wait, so they run beside the others, and what they said is printed when
# they are over: LONG_TESTS, and QUIET_TESTS, of which five minutes are an operator that has nothing to do. The script's
# own arguments go to each `cargo test`.
set -uo pipefail
cd "$(dirname "$0")/.."

run() { cargo test --workspace --no-fail-fast "${features[@]}" "$@"; }
features=("$@")
read -ra long <<<"${LONG_TESTS:?make test gives it}"
read -ra quiet <<<"${QUIET_TESTS:?make test gives it}"
# What speaks to an API server runs on the newest Kubernetes too.
newest=(--test rules --test accepted --test reconcile --test running --test delivery)
logs=(target/long-tests.log target/quiet-tests.log)

quiet_and_newest() {
  local status=0
  run "${quiet[@]}" || status=$?
  MESHCORE_KUBERNETES=newest run "${newest[@]}" || status=$?
  return $status
}

# First, so that nothing is compiled beside tests.
run --no-run && run "${long[@]}" "${quiet[@]}" --no-run || exit
[ -n "${MESHCORE_IMAGES:-}" ] || scripts/images.sh >/dev/null || exit

run "${long[@]}" >"${logs[0]}" 2>&1 &
strands=($!)
quiet_and_newest >"${logs[1]}" 2>&1 &
strands+=($!)
status=0
run || status=$?
echo "test.sh: waiting for the other tests (tail -f ${logs[*]})"
for at in "${!strands[@]}"; do
  wait "${strands[at]}" || status=$?
  cat "${logs[at]}"
done
[ "$status" -eq 0 ] || echo "test.sh: some tests failed; search for FAILED above" >&2
exit "$status"
