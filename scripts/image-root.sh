#!/usr/bin/env bash
# Collects what programs need to run in a container without a system: image-root.sh ROOT BINARY...
# That is the programs, their loader and shared libraries at the places where the loader looks, certificates of
# authorities, a user without rights, how names are looked up, and the licences of all that. No shell.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: image-root.sh ROOT BINARY..." >&2; exit 2; }
root=$1
shift

# The Debian name of the machine that a binary is for.
triplet_of() {
  case $(LC_ALL=C readelf -h "$1" | sed -n 's/^ *Machine: *//p') in
    *X86-64) echo x86_64-linux-gnu ;;
    AArch64) echo aarch64-linux-gnu ;;
    *) echo "image-root.sh: $1 is for a machine that has no recipe here" >&2; exit 1 ;;
  esac
}

# Where a library is: that of this machine, or of the cross compiler.
library() {
  local folder
  for folder in "/lib/$triplet" "/usr/lib/$triplet" "/usr/$triplet/lib"; do
    [ -e "$folder/$1" ] && { echo "$folder/$1"; return; }
  done
  echo "image-root.sh: the library $1 for $triplet is missing" >&2
  exit 1
}

# The licences of the Debian packages that files are from, all at once: asking is slow. Where /lib is a link to
# /usr/lib, a package may know its file by either name.
add_licences() {
  local package
  for package in $({ dpkg -S "$@" "${@#/usr}" "${@/#\/lib/\/usr\/lib}" 2>/dev/null || true; } | sed -n 's/^\([^:, ]*\).*: .*/\1/p' | sort -u); do
    [ -e "/usr/share/doc/$package/copyright" ] || continue
    install -Dm644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
  done
}

# The libraries that a file names, and those that these name.
add_libraries() {
  local name source
  for name in $(LC_ALL=C readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
    [ "$name" = "${loader##*/}" ] && continue
    [ -e "$root/lib/$triplet/$name" ] && continue
    source=$(library "$name")
    install -Dm755 "$source" "$root/lib/$triplet/$name"
    bundled+=("$(realpath "$source")" "$source")
    add_libraries "$source"
  done
}

bundled=(/usr/sbin/update-ca-certificates)
rm -rf "$root"
mkdir -p "$root/etc"
mkdir -m 1777 "$root/tmp"
for binary in "$@"; do
  triplet=$(triplet_of "$binary")
  loader=$(LC_ALL=C readelf -l "$binary" | sed -n 's/.*program interpreter: \(.*\)\]$/\1/p')
  mkdir -p "$root/usr/bin"
  # Names of functions stay, for the backtrace of a panic; the lines are in the binary of the build.
  "$triplet-strip" --strip-debug -o "$root/usr/bin/${binary##*/}" "$binary"
  chmod 755 "$root/usr/bin/${binary##*/}"
  [ -n "$loader" ] && install -Dm755 "$(library "${loader##*/}")" "$root$loader"
  add_libraries "$binary"
done
install -Dm644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
install -Dm644 "$(dirname "${BASH_SOURCE[0]}")/../LICENSE" "$root/usr/share/doc/meshcore/LICENSE"
add_licences "${bundled[@]}"
printf 'root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/:/nonexistent\n' >"$root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
# Whatever the umask here is.
find "$root" -mindepth 1 -type d ! -name tmp -exec chmod 755 {} +
find "$root" -type f ! -perm 755 -exec chmod 644 {} +
