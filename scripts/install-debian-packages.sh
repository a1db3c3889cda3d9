#!/usr/bin/env bash
# Installs what the local parts, the tests and the demo need and only root can install, where it is missing.
# Nothing else in this repository changes the system. Upgrades nothing.
#
#   install-debian-packages.sh          for the demo, the stack and the tests
#   install-debian-packages.sh images   for `npm run test:images` as well
set -euo pipefail

if [[ $EUID -ne 0 ]]; then
  echo "run this as root: it installs Debian packages" >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
packages=()
emulator=google-cloud-cli-pubsub-emulator

# The Pub/Sub emulator wants Java 17 or newer. Debian 12 has 17, Debian 13 has 21; default-jre-headless is either.
command -v java >/dev/null || packages+=(default-jre-headless)

# For the virtual environments, and for the library that Triton's Python backend links to. A Python of one's own
# (IMAGEN_PYTHON) does as well.
packages+=(python3 python3-venv libpython3-dev)

# The image's allocator, for `npm run bench -- soak`.
packages+=(libjemalloc2)

# Decodes and encodes ordinary JPEGs for a third of sharp's processor time.
packages+=(libturbojpeg0)

# The stack's metrics and the checks of alert rules; the pages' tests and pictures.
fresh_prometheus=$(command -v prometheus >/dev/null || echo yes)
packages+=(prometheus chromium)

# To build the container images without Docker.
if [[ ${1:-} == images ]]; then
  packages+=(buildah debootstrap)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
done

if [[ ${#missing[@]} -gt 0 ]]; then
  echo "installing ${missing[*]}"
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends --no-upgrade "${missing[@]}" >/dev/null
fi

# Debian starts Prometheus as a service, on the port where the stack wants its own.
if [[ -n $fresh_prometheus && -d /run/systemd/system ]]; then
  systemctl disable --now prometheus
fi

# The Cloud SDK is not Debian's; its emulator is a package only where Google's repository is set up.
if ! command -v gcloud >/dev/null && [[ -z ${CLOUDSDK_ROOT:-} ]]; then
  if apt-cache show "$emulator" >/dev/null 2>&1; then
    apt-get install -y -qq --no-install-recommends "$emulator" >/dev/null
  else
    echo "the Cloud SDK is missing: install it, then: gcloud components install pubsub-emulator" >&2
  fi
fi
