#!/usr/bin/env bash
# A mesh to look at: broker, ingestor, server and simulator, with their data in data/run. Ctrl-C stops them in
# the order in which a pod would: first what feeds, then the server, then the ingestor, last the broker.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"

data=data/run
broker_port=${MESHCORE_RUN_BROKER_PORT:-18883}
server_address=${MESHCORE_SERVER_ADDRESS:-127.0.0.1:8080}
health_address=${MESHCORE_INGESTOR_ADDRESS:-127.0.0.1:8081}

for address in "127.0.0.1:$broker_port" "$server_address" "$health_address"; do
  if (exec 3<>"/dev/tcp/${address%:*}/${address##*:}") 2>/dev/null; then
    echo "$address is in use. Stop what uses it, or choose another: MESHCORE_RUN_BROKER_PORT, MESHCORE_SERVER_ADDRESS, MESHCORE_INGESTOR_ADDRESS." >&2
    exit 1
  fi
done

cargo build --bin meshcore --bin meshcore-ingestor --bin meshcore-server
mkdir -p "$data"
cat >"$data/mosquitto.conf" <<EOF
listener $broker_port 127.0.0.1
allow_anonymous true
max_queued_messages 0
EOF

# In sessions of their own, so that the terminal's Ctrl-C reaches only this script.
start() {
  local name=$1
  shift
  setsid "$@" </dev/null >"$data/$name.log" 2>&1 &
  pids[$name]=$!
}
stop() {
  local pid=${pids[$1]:-}
  [ -n "$pid" ] || return 0
  unset "pids[$1]"
  kill "$pid" 2>/dev/null || return 0
  local code=0
  wait "$pid" || code=$?
  echo "$1 has stopped ($code)"
}
declare -A pids=()
finish() {
  trap '' INT TERM
  echo
  for name in simulator server ingestor broker; do stop "$name"; done
  [ -e "$data/meshcore.db.shutdown-ingestor.json" ] && cat "$data/meshcore.db.shutdown-ingestor.json" && echo
  exit "${1:-0}"
}
trap finish INT TERM

export LOG_FORMAT=text DB_PATH=$data/meshcore.db
start broker mosquitto -c "$data/mosquitto.conf"
MQTT_BROKER="mqtt://127.0.0.1:$broker_port" MESHCORE_INGESTOR_ADDRESS=$health_address \
  start ingestor target/debug/meshcore-ingestor
MESHCORE_SERVER_ADDRESS=$server_address start server target/debug/meshcore-server
for _ in $(seq 200); do
  curl -fs "http://$health_address/sources" 2>/dev/null | grep -q '"connected":true' && break
  sleep 0.05
done
start simulator target/debug/meshcore simulate --broker "mqtt://127.0.0.1:$broker_port" --rate "${MESHCORE_RUN_RATE:-5}"

cat <<EOF

A simulated mesh is running.
  counters   http://$server_address/api/stats
  health     http://$health_address/health/ready
  metrics    http://$health_address/metrics
  logs       $data/*.log
Ctrl-C stops everything.
EOF

while sleep 1; do
  for name in "${!pids[@]}"; do
    if ! kill -0 "${pids[$name]}" 2>/dev/null; then
      echo "$name has ended by itself; the end of $data/$name.log:" >&2
      tail -n 5 "$data/$name.log" >&2
      finish 1
    fi
  done
done
