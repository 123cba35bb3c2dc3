#!/usr/bin/env bash
# Checks for the programs and files that are named, and installs what is missing from Debian. Upgrades nothing.
set -euo pipefail

declare -A package=(
  [cc]=gcc [mosquitto]=mosquitto [mosquitto_passwd]=mosquitto [strace]=strace [openssl]=openssl
  [/usr/lib/cni/bridge]=containernetworking-plugins [ctr]=containerd
  [mkfs.xfs]=xfsprogs [mkfs.ext4]=e2fsprogs [ip]=iproute2 [readelf]=binutils
  [/etc/ssl/certs/ca-certificates.crt]=ca-certificates
  [aarch64-linux-gnu-gcc]=gcc-aarch64-linux-gnu [/usr/aarch64-linux-gnu/include/stdio.h]=libc6-dev-arm64-cross
  [x86_64-linux-gnu-gcc]=gcc-x86-64-linux-gnu [/usr/x86_64-linux-gnu/include/stdio.h]=libc6-dev-amd64-cross
)
PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"

if ! command -v cargo >/dev/null; then
  echo "Rust is missing. Install it with rustup (its own page says how), then try again." >&2
  exit 1
fi

missing=()
for program in cc "$@"; do
  case $program in
    /*) [ -e "$program" ] && continue ;;
    *) command -v "$program" >/dev/null && continue ;;
  esac
  missing+=("${package[$program]:-$program}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

line="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Some programs are missing. Please type:  sudo $line" >&2
  exit 1
fi
echo "Installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# A package that starts a service would take the broker's port: ours are started by us.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
$line >&2 || { apt-get update >&2 && $line >&2; }
