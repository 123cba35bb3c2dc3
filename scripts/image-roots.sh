#!/usr/bin/env bash
# Compiles the programs and collects the root folder of each image: image-roots.sh FOLDER ARCHITECTURE
# ARCHITECTURE is amd64 or arm64; for the one that is not this machine's, a cross compiler does it. Called by
# scripts/images.sh and by the first stage of the Containerfile.
set -euo pipefail

[ $# -eq 2 ] || { echo "usage: image-roots.sh FOLDER amd64|arm64" >&2; exit 2; }
mkdir -p "$1"
folder=$(realpath "$1")
case $2 in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
  *) echo "image-roots.sh: there is no recipe for $2; there are amd64 and arm64" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PATH:$HOME/.cargo/bin"
# In a test, cargo tells of its package. A dependency that reads it would be compiled again, and once more by hand.
unset "${!CARGO_PKG_@}" "${!CARGO_MANIFEST_@}"

# All together, whichever are wanted: with others beside it a program may be compiled with other features, and what
# depends on the wish would be compiled again and again.
build=(cargo build --release --locked --bins
  -p meshcore-operator -p meshcore-ingestor -p meshcore-server -p meshcore-cli)
binaries=${CARGO_TARGET_DIR:-target}
if [ "$machine" = "$(uname -m)" ]; then
  scripts/setup.sh readelf /etc/ssl/certs/ca-certificates.crt
else
  target=$machine-unknown-linux-gnu
  gnu=$machine-linux-gnu
  scripts/setup.sh readelf /etc/ssl/certs/ca-certificates.crt "$gnu-gcc" "/usr/$gnu/include/stdio.h"
  rustup target list --installed | grep -qx "$target" || rustup target add "$target" >&2
  linker=CARGO_TARGET_${target^^}_LINKER
  export "${linker//-/_}=$gnu-gcc"
  build+=(--target "$target")
  binaries+=/$target
fi
"${build[@]}" >&2
binaries+=/release

scripts/image-root.sh "$folder/operator" "$binaries/meshcore-operator"
scripts/image-root.sh "$folder/ingestor" "$binaries/meshcore-ingestor"
scripts/image-root.sh "$folder/server" "$binaries/meshcore-server"
scripts/image-root.sh "$folder/meshcore" "$binaries"/meshcore{,-ingestor,-server}
# What the user of the images may write to; a volume that is new gets its owner from there.
mkdir -p "$folder/writable/data"
