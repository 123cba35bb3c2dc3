#!/usr/bin/env bash
# Builds the Kubernetes programs that tests run, from the modules that e2e/ pins, and prints the folder of each set
# that is named, one a line. What is built already is only named. Sets:
#   1.34         etcd, kube-apiserver, kube-controller-manager, kubectl: what tests use by default
#   newest       kube-apiserver and kube-controller-manager of the newest minor version
#   node         kube-scheduler, kubelet and kube-proxy of 1.34
#   coredns      CoreDNS
#   helm-3, helm-4
#   gateway-api  the CRDs of the Gateway API
#   gitops       the CRDs of Argo CD and Flux
#   lua          glua, the Lua interpreter that is in Argo CD
# Results are in ${XDG_CACHE_HOME:-~/.cache}/meshcore/kubernetes, in a folder for each content of go.mod and go.sum.
# Where KUBEBUILDER_ASSETS is set, the programs of 1.34 that it holds are taken from there.
# The exit code is 3 when Go is missing or too old.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../e2e"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/meshcore/kubernetes"
PATH="$PATH:/usr/local/go/bin:/usr/lib/go/bin"
# Without C the programs need no compiler but Go's own, and run wherever the kernel does.
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -mod=readonly" GOWORK=off
recipe=2 # Part of the key: count it up when the commands below change.

say() { echo "kubernetes.sh: $*" >&2; }

# Which module of e2e/ a set is built from.
module_of() {
  case $1 in
    1.34 | node) echo kubernetes-1.34 ;;
    newest) echo kubernetes-newest ;;
    coredns | helm-3 | helm-4 | gateway-api | gitops | lua) echo "$1" ;;
    *) say "there is no set $1; there are 1.34, newest, node, coredns, helm-3, helm-4, gateway-api, gitops and lua"; exit 2 ;;
  esac
}

# The version of what a module is about: that of its first requirement with this prefix.
version_of() {
  sed -nE 's/^(require)?[[:space:]]*(k8s\.io\/kubernetes|helm\.sh\/helm\/v[34]|sigs\.k8s\.io\/gateway-api|github\.com\/[^ ]*) v(.*)$/\3/p' "$1/go.mod" | head -1
}

folder_of() {
  local module assets=
  module=$(module_of "$1")
  [ "$1" = 1.34 ] && assets=${KUBEBUILDER_ASSETS:-}
  local key
  key=$(cd "$module" && { find . -type f | LC_ALL=C sort | xargs cat; echo "$recipe $1 $(uname -m) $assets"; } | sha256sum)
  echo "$cache/$1-$(version_of "$module")-${key:0:12}"
}

# Go for the module of the working directory. From 1.21 on it fetches the version that the module asks for, where it
# is allowed to.
require_go() {
  local wanted found
  if ! command -v go >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null \
    && apt-cache policy golang-go 2>/dev/null | grep -qE 'Candidate: 2:1\.(2[1-9]|[3-9][0-9])'; then
    say "installing golang-go"
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends golang-go >&2
  fi
  wanted=$(sed -n 's/^go //p' go.mod)
  if ! command -v go >/dev/null; then
    say "Go is missing; it builds the Kubernetes programs of the tests. Unpack Go $wanted or newer to /usr/local/go"
    say "(https://go.dev/doc/install), or on Debian 13 and later type:  sudo apt-get install golang-go"
    exit 3
  fi
  found=$(cd / && go env GOVERSION)
  found=${found#go}
  [ "$(printf '%s\n' "$wanted" "${found%%[- ]*}" | sort -V | head -1)" = "$wanted" ] && return
  export GOTOOLCHAIN=auto
  if ! go version >/dev/null 2>&1; then
    say "Go $found is too old for e2e/${PWD##*/}, which needs $wanted, and could not fetch that. Unpack Go $wanted or newer to"
    say "/usr/local/go (https://go.dev/doc/install) and put /usr/local/go/bin first into PATH."
    exit 3
  fi
}

# Builds packages into a folder; Kubernetes programs must be told their version.
build() {
  local out=$1 flags="-s -w" version=$2 base=k8s.io/component-base/version
  shift 2
  if [ -n "$version" ]; then
    IFS=. read -r major minor _ <<<"$version"
    flags+=" -X $base.gitVersion=v$version -X $base.gitMajor=$major -X $base.gitMinor=$minor"
  fi
  require_go
  nice go build -o "$out/" -ldflags "$flags" "$@"
}

# Where a module's files are, after its sum was checked.
module_folder() {
  go mod download -json "$1" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'
}

fill() {
  local name=$1 out=$2 version=$3 commands=k8s.io/kubernetes/cmd
  case $name in
    1.34)
      local wanted=()
      for program in etcd kube-apiserver kube-controller-manager kubectl; do
        if [ -x "${KUBEBUILDER_ASSETS:-/nowhere}/$program" ]; then
          ln -s "$(realpath "$KUBEBUILDER_ASSETS")/$program" "$out/$program"
        elif [ "$program" = etcd ]; then
          wanted+=(./etcd)
        else
          wanted+=("$commands/$program")
        fi
      done
      [ ${#wanted[@]} -eq 0 ] || build "$out" "$version" "${wanted[@]}"
      ;;
    newest) build "$out" "$version" $commands/kube-apiserver $commands/kube-controller-manager ;;
    node) build "$out" "$version" $commands/kube-scheduler $commands/kubelet $commands/kube-proxy ;;
    coredns) build "$out" "" . ;;
    helm-3) build "$out" "" helm.sh/helm/v3/cmd/helm ;;
    helm-4) build "$out" "" helm.sh/helm/v4/cmd/helm ;;
    gateway-api)
      require_go
      cp "$(module_folder sigs.k8s.io/gateway-api)"/config/crd/standard/*.yaml "$out/"
      ;;
    gitops)
      require_go
      cp "$(module_folder github.com/argoproj/argo-cd/v3)"/manifests/crds/application-crd.yaml "$out/"
      for controller in source helm kustomize; do
        cp "$(module_folder github.com/fluxcd/$controller-controller)"/config/crd/bases/*.yaml "$out/"
      done
      ;;
    lua) build "$out" "" github.com/yuin/gopher-lua/cmd/glua ;;
  esac
}

# Builds one set, unless another process has done it in the meantime. A folder appears with all that belongs to it.
make_set() {
  local name=$1 folder=$2 module version out
  module=$(module_of "$name")
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock -n 9 || { say "waiting for another build"; flock 9; }
  [ -e "$folder" ] && return
  out=$(mktemp -d "$cache/.building-XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$out'" EXIT
  chmod 755 "$out"
  version=$(version_of "$module")
  say "building $name ($version); the first time this takes up to five minutes on two cores"
  local started=$SECONDS
  (cd "$module" && fill "$name" "$out" "$version" 9>&-) >&2
  mv -T "$out" "$folder"
  say "built $name in $((SECONDS - started)) s: $folder"
}

[ $# -gt 0 ] || set -- 1.34 newest node coredns helm-3 helm-4 gateway-api gitops lua
for name in "$@"; do
  folder=$(folder_of "$name")
  [ -e "$folder" ] || make_set "$name" "$folder"
  echo "$folder"
done
