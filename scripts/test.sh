#!/usr/bin/env bash
# All tests. The longest take minutes and mostly wait, so they run beside the others; what they said is printed when they
# are over. LONG_TESTS are the arguments that choose those; the script's own go to each `cargo test`.
set -uo pipefail
cd "$(dirname "$0")/.."

run() { cargo test --workspace --no-fail-fast "$@"; }
read -ra long <<<"${LONG_TESTS:?make test gives it}"
# What speaks to an API server runs on the newest Kubernetes too.
newest=(--test rules --test accepted --test reconcile --test running --test delivery)
log=target/long-tests.log

# First, so that nothing is compiled beside tests.
run "$@" --no-run && run "$@" "${long[@]}" --no-run || exit
[ -n "${MESHCORE_IMAGES:-}" ] || scripts/images.sh >/dev/null || exit

run "$@" "${long[@]}" >"$log" 2>&1 &
status=0
run "$@" || status=$?
MESHCORE_KUBERNETES=newest run "$@" "${newest[@]}" || status=$?
echo "test.sh: waiting for the other tests (tail -f $log)"
wait $! || status=$?
cat "$log"
[ "$status" -eq 0 ] || echo "test.sh: some tests failed; search for FAILED above" >&2
exit "$status"
