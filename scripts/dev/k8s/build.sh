#!/usr/bin/env bash
# Builds kube-apiserver, and a program of ours that runs Kubernetes' own controllers, from Kubernetes' Go module: about 5
# minutes on two cores, and 2 GB on the way there, which are removed again. What is there already is not built again.
# Usage: build.sh VERSION FOLDER CONTROLLERS
#   FOLDER        gets kube-apiserver and the program CONTROLLERS
#   CONTROLLERS   its name; the source is controllers/main.go beside this script
set -euo pipefail

version=$1
folder=$2
controllers=$3
source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/controllers/main.go
# The libraries of Kubernetes 1.32.3 are 0.32.3.
libraries="0.${version#*.}"

command -v go >/dev/null || { echo "go is missing: it builds Kubernetes' programs" >&2; exit 1; }

free=$(df --output=avail --block-size=1M "$folder" | tail -n 1)
((free > 4000)) || { echo "4 GB are needed in $folder for a while, and $free MB are free" >&2; exit 1; }

work=$folder/building
clean() { chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"; }
end() { kill "${building:-}" 2>/dev/null || true; wait; clean; }
clean
trap end EXIT
trap 'exit 143' TERM INT HUP
mkdir -p "$work/controllers"
cp "$source" "$work/controllers/main.go"
cd "$work"
export GOMODCACHE=$work/modules GOCACHE=$work/objects GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0
export GOFLAGS="-mod=mod ${GOFLAGS:-}"

cat >go.mod <<EOM
module imagen/kubernetes

go 1.23.0

require k8s.io/kubernetes v$version
EOM
# In Kubernetes' own tree its libraries lie beside it, as version 0.0.0; outside of it each is a module of its own.
requirements=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
sed -n 's/^[[:space:]]*\(k8s\.io\/[a-z-]*\) v0\.0\.0\( .*\)\{0,1\}$/\1/p' "$requirements" | sort -u | while read -r module; do
  echo "replace $module => $module v$libraries"
done >>go.mod

# In the background, so that a signal is heard before it is done.
build() {
  [ -e "$folder/$1" ] && return
  go build -trimpath -o "$work/built" -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version" "$2" &
  building=$!
  wait "$building"
  mv "$work/built" "$folder/$1"
}
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
build "$controllers" ./controllers
