#!/usr/bin/env bash
# Builds the images that are named, without a registry, and prints the path of each OCI archive, one a line. What is
# up to date is only named. Images:
#   operator, ingestor, server, meshcore   as the Containerfile says; these four if none is named
#   mosquitto, pause                       for tests: localhost/meshcore-test/<name>:1, from programs of this machine
# ARCH=arm64 compiles for that machine, ARCH=amd64 for the other; by default it is this one. The tag is the version of
# the workspace, which is what an operator without settings asks for. With --table, sizes are printed instead of paths.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
recipe=1 # Part of the key of each archive: count it up when the commands below change.

case $(uname -m) in
  x86_64) host=amd64 ;;
  aarch64) host=arm64 ;;
  *) host=$(uname -m) ;;
esac
arch=${ARCH:-$host}
out=$PWD/target/images
[ "$arch" = "$host" ] || out+=/$arch

say() { echo "images.sh: $*" >&2; }

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if [ "$revision" != unknown ] && ! git diff --quiet HEAD; then revision+=-dirty; fi
# The time of all files and of the image, so that equal contents are equal images.
time=$(git log -1 --format=%ct 2>/dev/null || echo 0)

name_of() {
  case $1 in
    operator | ingestor | server) echo "docker.io/library/meshcore-$1:$version" ;;
    meshcore) echo "docker.io/library/meshcore:$version" ;;
    mosquitto | pause) echo "localhost/meshcore-test/$1:1" ;;
  esac
}

make_roots() {
  local name is_built=
  for name in "$@"; do
    case $name in
      operator | ingestor | server | meshcore)
        [ -n "$is_built" ] || scripts/image-roots.sh "$out/roots" "$arch"
        is_built=yes
        ;;
      mosquitto)
        scripts/setup.sh mosquitto readelf /etc/ssl/certs/ca-certificates.crt
        scripts/image-root.sh "$out/roots/mosquitto" "$(PATH=$PATH:/usr/sbin command -v mosquitto)"
        ;;
      pause)
        mkdir -p "$out/roots/pause"
        cc -Os -s -static -o "$out/roots/pause/pause" e2e/images/pause.c
        ;;
    esac
  done
}

# What an image is made of: its files, its recipe and its labels.
key_of() {
  local file=Containerfile
  case $1 in mosquitto | pause) file=e2e/images/Containerfile ;; esac
  { 
    echo "$recipe $arch $version"
    case $1 in mosquitto | pause) ;; *) echo "$revision" ;; esac
    cat "$file"
    cd "$out/roots/$1"
    find . -printf '%p %m\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum
}

# Storage and all else that buildah makes is in a folder that goes when this script does.
make_archive() {
  local name=$1 file=Containerfile args=() work
  case $name in
    mosquitto | pause) file=e2e/images/Containerfile ;;
    *) args=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "TARGETARCH=$arch") ;;
  esac
  work=$(mktemp -d "$out/.building-XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  mkdir "$work/context"
  local buildah=(buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs)
  "${buildah[@]}" build --quiet --isolation chroot --format oci --layers=false --timestamp "$time" --arch "$arch" \
    --build-context "binaries=$out/roots" "${args[@]}" --target "$name" --file "$file" \
    --tag "$(name_of "$name")" "$work/context" >/dev/null
  "${buildah[@]}" push --quiet "$(name_of "$name")" "oci-archive:$work/archive.tar:$(name_of "$name")" >&2
  mv "$work/archive.tar" "$out/$name.tar"
  rm -rf "$work"
  trap - EXIT
}

print_table() {
  local name bytes
  printf '%-48s %-6s %10s\n' image for compressed
  for name in "$@"; do
    bytes=$(stat -c %s "$out/$name.tar")
    printf '%-48s %-6s %7d.%d MB\n' "$(name_of "$name")" "$arch" $((bytes / 1000000)) $((bytes / 100000 % 10))
  done
}

print=paths
[ "${1:-}" = --table ] && { print=table; shift; }
[ $# -gt 0 ] || set -- operator ingestor server meshcore
for name in "$@"; do
  [ -n "$(name_of "$name")" ] && continue
  say "there is no image $name; there are operator, ingestor, server, meshcore, mosquitto and pause"
  exit 2
done
scripts/setup.sh buildah
mkdir -p "$out/roots"
exec 9>"$out/.lock"
flock -n 9 || { say "waiting for another build"; flock 9; }
make_roots "$@"
for name in "$@"; do
  key=$(key_of "$name")
  if [ ! -e "$out/$name.tar" ] || [ "$key" != "$(cat "$out/$name.key" 2>/dev/null)" ]; then
    say "building $(name_of "$name") for $arch"
    rm -f "$out/$name.key"
    make_archive "$name"
    echo "$key" >"$out/$name.key"
  fi
  [ $print = table ] || echo "$out/$name.tar"
done
[ $print = paths ] || print_table "$@"
