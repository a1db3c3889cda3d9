#!/usr/bin/env bash
# Builds kube-apiserver from its Go module into FOLDER/kube-apiserver: about 4 minutes on two cores, and 2 GB on the way
# there, which are removed again. Usage: build-apiserver.sh VERSION FOLDER
set -euo pipefail

version=$1
folder=$2
# The libraries of Kubernetes 1.32.3 are 0.32.3.
libraries="0.${version#*.}"

command -v go >/dev/null || { echo "go is missing: it builds the API server" >&2; exit 1; }

free=$(df --output=avail --block-size=1M "$folder" | tail -n 1)
((free > 4000)) || { echo "4 GB are needed in $folder for a while, and $free MB are free" >&2; exit 1; }

work=$folder/building
clean() { chmod -R u+w "$work" 2>/dev/null || true; rm -rf "$work"; }
end() { kill "${building:-}" 2>/dev/null || true; wait; clean; }
clean
trap end EXIT
trap 'exit 143' TERM INT HUP
mkdir -p "$work"
cd "$work"
export GOMODCACHE=$work/modules GOCACHE=$work/objects GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0

cat >go.mod <<EOF
module imagen/kubernetes

go 1.23.0

require k8s.io/kubernetes v$version
EOF
# In Kubernetes' own tree its libraries lie beside it, as version 0.0.0; outside of it each is a module of its own.
requirements=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
sed -n 's/^[[:space:]]*\(k8s\.io\/[a-z-]*\) v0\.0\.0\( .*\)\{0,1\}$/\1/p' "$requirements" | sort -u | while read -r module; do
  echo "replace $module => $module v$libraries"
done >>go.mod

go build -trimpath -o "$work/kube-apiserver" \
  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version" k8s.io/kubernetes/cmd/kube-apiserver &
# In the background, so that a signal is heard before it is done.
building=$!
wait "$building"
mv "$work/kube-apiserver" "$folder/kube-apiserver"
