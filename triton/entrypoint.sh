#!/bin/sh
# What a container of triton-imagen does:
#
#   serve [argument…]   (default) runs Triton with all models of MODEL_REPOSITORY; arguments go to tritonserver
#   seed FOLDER         copies the image's models into FOLDER if that is empty. Two may do so at once, and the next one
#                       continues a copy that was cut short: a model is there whole or not at all
#
# Environment of serve; an empty variable counts as unset:
#   MODEL_REPOSITORY      a folder, several with colons between them, or gs://bucket/path; by default the models beside
#                         this script
#   TRITON_MODELS         names of models with commas between them: only these are loaded; all by default
#   TRITON_HTTP_ADDRESS, TRITON_GRPC_ADDRESS, TRITON_METRICS_ADDRESS
#                         where they listen; 0.0.0.0 by default
#   TRITON_HTTP_PORT, TRITON_GRPC_PORT, TRITON_METRICS_PORT
#                         8000, 8001 and 8002 by default
#   TRITON_BACKENDS       the folder of the backends; the server's own by default
#   TRITON_RESTRICTED     protocols that only the key opens; model-repository,shared-memory by default. The key alone
#                         always opens trace and logging, which name files for the server to write to. If the list lacks
#                         shared-memory, workers on the same host may share memory, also with a Triton that refuses that
#                         by default
#   TRITON_ADMIN_KEY      the key: header imagen-admin over HTTP, triton-grpc-protocol-imagen-admin over gRPC. By default
#                         a random one that nobody knows
#   TRITON_WATCHDOG       off: a model whose process has died is not loaded again
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
own_models=$here/model_repository

say() { echo "entrypoint: $*" >&2; }

fail() {
  say "$*"
  exit 2
}

# One --load-model for each folder with a configuration: others, such as lost+found, are no models.
models_in() {
  for config in "$1"/*/config.pbtxt; do
    [ -f "$config" ] || continue
    basename -- "$(dirname -- "$config")"
  done
}

# Entries that a file system puts into its root, and our own lock, do not count.
is_empty() {
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ -e "$entry" ] || [ -L "$entry" ] || continue
    case ${entry##*/} in
      lost+found | .seed.lock) ;;
      *) return 1 ;;
    esac
  done
}

# Prints the options for one folder of models, or all of several with colons between them.
repository_options() {
  (
    set -f
    IFS=:
    # shellcheck disable=SC2086 # word splitting is intended
    set -- $1
    set +f
    unset IFS # as by default
    found=
    for folder in "$@"; do
      [ -d "$folder" ] || fail "MODEL_REPOSITORY: expected a folder of models, given '$folder'"
      models=$(models_in "$folder")
      found=$found$models
      echo "--model-repository=$folder"
      [ -n "${TRITON_MODELS:-}" ] || for model in $models; do echo "--load-model=$model"; done
    done
    # One of several may be empty: its models come later. A volume that is not mounted is empty, too, so one must have some.
    [ -n "$found" ] || fail "MODEL_REPOSITORY: expected a folder of models, given '$1'"
  )
}

# Triton from 2.68 (26.04) on refuses the shared memory of every client, unless it is started with an option that older
# versions do not know. Where the protocol is restricted, clients stay shut out.
client_memory_option() {
  case ",$1," in *,shared-memory,*) return ;; esac
  if tritonserver --help 2>&1 | grep -q -e --allow-client-shm; then echo --allow-client-shm=true; fi
}

# Beside the server, and before it takes this process's place: then the watchdog's parent is the server.
watch_models() {
  address=${TRITON_HTTP_ADDRESS:-127.0.0.1}
  case $address in
    0.0.0.0) address=127.0.0.1 ;;
    *:*) address="[$address]" ;;
  esac
  WATCHDOG_URL="http://$address:${TRITON_HTTP_PORT:-8000}" WATCHDOG_KEY=$1 python3 "$here/watchdog.py" </dev/null &
}

serve() {
  repository=${MODEL_REPOSITORY:-$own_models}
  restricted=${TRITON_RESTRICTED:-model-repository,shared-memory}
  key=${TRITON_ADMIN_KEY:-$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')}
  # What tritonserver takes apart at colons and equals signs must have none.
  case $key in *[!A-Za-z0-9._~-]*) fail "TRITON_ADMIN_KEY: expected letters, digits and . _ ~ - alone" ;; esac
  case $restricted in *[!a-z,-]*) fail "TRITON_RESTRICTED: expected names of protocols and commas, given '$restricted'" ;; esac
  client_memory=$(client_memory_option "$restricted")
  restricted="$restricted,trace,logging:imagen-admin=$key"

  case $repository in
    *://*)
      options="--model-repository=$repository"
      [ -n "${TRITON_MODELS:-}" ] || options="$options
--load-model=*"
      ;;
    *) options=$(repository_options "$repository") ;;
  esac
  [ -z "${TRITON_MODELS:-}" ] || options="$options
$(echo "$TRITON_MODELS" | tr ',' '\n' | sed 's/^/--load-model=/')"
  [ -z "${TRITON_BACKENDS:-}" ] || options="$options
--backend-directory=$TRITON_BACKENDS"
  [ -z "$client_memory" ] || options="$options
$client_memory"
  newline='
'
  set -f
  saved=$IFS
  IFS=$newline
  # shellcheck disable=SC2086 # one option a line
  set -- $options "$@"
  IFS=$saved
  set +f

  # A server that was killed leaves its shared memory behind, which in a pod outlives the container and counts as memory
  # of the pod. The names tell this container's from those of others in the same /dev/shm.
  # shellcheck disable=SC3028 # not a matter of the shell: the container runtime sets it
  shared="triton_${HOSTNAME:-$(hostname)}_"
  rm -f -- "/dev/shm/$shared"*

  # Not strict, and no exit on an error: one model that cannot be loaded must not take the others out of service.
  # A connection that lives for a minute only: workers look for new servers when one ends. What is under way on it has
  # five minutes to finish. Less to exit than the 30 s after which Kubernetes and Docker kill.
  [ "${TRITON_WATCHDOG:-}" = off ] || watch_models "$key"
  exec tritonserver \
    --model-control-mode=explicit --disable-auto-complete-config \
    --strict-readiness=false --exit-on-error=false --exit-timeout-secs=20 \
    "--http-address=${TRITON_HTTP_ADDRESS:-0.0.0.0}" "--http-port=${TRITON_HTTP_PORT:-8000}" \
    "--grpc-address=${TRITON_GRPC_ADDRESS:-0.0.0.0}" "--grpc-port=${TRITON_GRPC_PORT:-8001}" \
    "--metrics-address=${TRITON_METRICS_ADDRESS:-0.0.0.0}" "--metrics-port=${TRITON_METRICS_PORT:-8002}" \
    "--http-restricted-api=$restricted" "--grpc-restricted-protocol=$restricted" \
    --grpc-max-connection-age=60000 --grpc-max-connection-age-grace=300000 \
    "--backend-config=python,shm-region-prefix-name=$shared" \
    "$@"
}

# .seeding is there from before the first model to after the last: a folder that has it was cut short. Models are copied
# into it, brought to the disk, and then moved to their place, which is one step.
seed() {
  [ $# -eq 1 ] && [ -n "$1" ] || fail "usage: seed FOLDER"
  folder=$1
  [ -d "$folder" ] || fail "seed: expected a folder, given '$folder'"
  # The lock goes with the process, however that ends; whoever waits for it finds the work done.
  exec 9>"$folder/.seed.lock"
  flock 9
  if [ ! -d "$folder/.seeding" ] && ! is_empty "$folder"; then
    say "$folder is not empty: left as it is"
    return
  fi
  mkdir -p "$folder/.seeding"
  for model in $(models_in "$own_models"); do
    [ ! -e "$folder/$model" ] || continue
    rm -rf -- "$folder/.seeding/$model"
    cp -R -- "$own_models/$model" "$folder/.seeding/$model"
    sync -f "$folder/.seeding/$model"
    mv -- "$folder/.seeding/$model" "$folder/$model"
    say "copied $model"
  done
  rm -rf -- "$folder/.seeding"
  sync -f "$folder"
}

command=${1:-serve}
[ $# -eq 0 ] || shift
case $command in
  serve) serve "$@" ;;
  seed) seed "$@" ;;
  *) fail "usage: serve [argument of tritonserver…] | seed FOLDER" ;;
esac
