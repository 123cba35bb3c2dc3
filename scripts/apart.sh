#!/usr/bin/env bash
# Runs a command in a network, a mount and a process namespace of its own, as root, with a folder to work in
# ($MESHCORE_APART). Whatever the command starts, mounts, routes or writes there is gone when it ends, however it ends;
# the control groups that are named as the folder too.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: scripts/apart.sh COMMAND [ARGUMENT…]" >&2; exit 2; }
if [ "$(id -u)" -ne 0 ]; then
  echo "apart.sh: only root can make the namespaces that this needs: type  sudo $0 $*" >&2
  exit 77
fi
# Not below /tmp, which is in memory on many machines, and there are volumes in it.
MESHCORE_APART=$(mktemp -d /var/tmp/meshcore-apart-XXXXXX)
export MESHCORE_APART
chmod 755 "$MESHCORE_APART"

# Cleans up when nobody holds the other end of its input any more: the first process of the namespaces does, and takes
# all others with it.
clean_up() {
  trap '' INT TERM HUP
  cat >/dev/null
  local name=${MESHCORE_APART##*/}
  for _ in $(seq 100); do
    find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null || true
    rm -rf "$MESHCORE_APART" 2>/dev/null || true
    [ -e "$MESHCORE_APART" ] || [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "$name")" ] || exit 0
    sleep 0.1
  done
}
exec 9> >(clean_up)
# Container runtimes write here wherever their own folders are.
mkdir -p /run/netns /run/containerd /var/lib/cni
# The shell is the first process: it reaps what others leave behind.
exec unshare --net --mount --pid --fork --kill-child --mount-proc sh -ec '
  for folder in /run/netns /run/containerd /var/lib/cni; do mount -t tmpfs tmpfs "$folder"; done
  "$0" "$@" & wait "$!"' "$@"
