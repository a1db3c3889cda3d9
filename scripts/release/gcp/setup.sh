#!/usr/bin/env bash
# Makes what imagen needs of a Google Cloud project and only Google Cloud has: APIs, an image repository, identities and their
# rights. In between it calls `imagen setup`, which makes topics, subscriptions and buckets. Safe to run again: it keeps what
# exists. Makes no keys. docs/google-cloud.md says why each right is given.
set -euo pipefail

usage() {
  cat <<'END'
scripts/release/gcp/setup.sh --project PROJECT --region REGION [options] [-- flags of `imagen setup`]

  --project PROJECT             id of the project
  --region REGION               of the image repository and of new buckets, such as europe-west4
  --bucket-prefix PREFIX        buckets are named PREFIX-uploads, -results, -state and -models (PROJECT-imagen)
  --cluster CLUSTER             GKE cluster whose Kubernetes service accounts get the identities; a later run may name it
  --cluster-location LOCATION   of that cluster (REGION)
  --node-service-account EMAIL  identity of the cluster's nodes, which then may pull the images
  --per-model MODEL,…           as for `imagen setup`: a subscription for each of these models
  --per-tenant TENANT,…         as for `imagen setup`: a subscription for each of these tenants
  --per-priority                as for `imagen setup`: a subscription for each priority
  --completions-push NAME=URL, --completions-bigquery NAME=TABLE, --completions-bucket NAME=gs://…
                                as for `imagen setup`, each may be repeated: where completions go. This also makes what
                                Pub/Sub needs for that: the table, the bucket, and its rights there
  --push-service-account EMAIL, --push-audience TEXT, --completions-filter FILTER, --completions-dead-letter-topic NAME
                                as for `imagen setup`, for these
  --no-setup                    do not run `imagen setup`: topics, subscriptions and buckets exist already
  --dry-run                     print every command and run none; needs neither gcloud nor credentials

If the variables that workers read (IMAGEN_JOBS_TOPIC, IMAGEN_STATE_PREFIX and so on) are set, names come from them.
END
}

# ── What is asked for ─────────────────────────────────────────────────────────

project='' region='' bucket_prefix='' cluster='' cluster_location='' node_service_account='' per_model=''
per_tenant='' per_priority='' dry_run='' with_setup=yes push_service_account='' push_audience=''
completions_filter='' completions_dead_letter_topic=''
setup_flags=() pushes=() tables=() buckets=()
problems=()
problem() { problems+=("$1"); }

while [[ $# -gt 0 ]]; do
  option=$1
  shift
  case $option in
    --project | --region | --bucket-prefix | --cluster | --cluster-location | --node-service-account | --per-model | --per-tenant | \
      --completions-push | --completions-bigquery | --completions-bucket | --completions-filter | --completions-dead-letter-topic | \
      --push-service-account | --push-audience)
      if [[ $# -eq 0 || $1 == --* ]]; then
        problem "$option: expected a value, given nothing"
        continue
      fi
      case $option in
        --completions-push) pushes+=("$1") ;;
        --completions-bigquery) tables+=("$1") ;;
        --completions-bucket) buckets+=("$1") ;;
        # --cluster-location is kept in cluster_location, and so on.
        *) variable=${option#--} && printf -v "${variable//-/_}" %s "$1" ;;
      esac
      shift
      ;;
    --per-priority) per_priority=yes ;;
    --no-setup) with_setup='' ;;
    --dry-run) dry_run=yes ;;
    --help | -h)
      usage
      exit 0
      ;;
    --)
      setup_flags=("$@")
      for flag in "$@"; do
        [[ $flag != --dry-run ]] || problem '--dry-run: expected before --, given after it, where everything else would still be done'
      done
      break
      ;;
    *) problem "$option: no such option" ;;
  esac
done

expect() { # <name> <value> <pattern> <what is expected>
  [[ $2 =~ $3 ]] || problem "$1: expected $4, given ${2:-nothing}"
}
expect --project "$project" '^[a-z][a-z0-9-]{4,28}[a-z0-9]$' 'the id of a project'
expect --region "$region" '^[a-z]+-[a-z]+[0-9]{1,2}$' 'a region such as europe-west4'
: "${bucket_prefix:=$project-imagen}" "${cluster_location:=$region}"
expect --bucket-prefix "$bucket_prefix" '^[a-z0-9][a-z0-9-]{1,53}$' 'the beginning of a bucket name, at most 54 characters'
[[ -z $cluster ]] || expect --cluster "$cluster" '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$' 'the name of a cluster'
expect --cluster-location "$cluster_location" '^[a-z]+-[a-z]+[0-9]{1,2}(-[a-z])?$' 'a region or a zone'
[[ -z $node_service_account ]] || expect --node-service-account "$node_service_account" '^[^@ ]+@[^@ ]+\.gserviceaccount\.com$' 'the email of a service account'
[[ -z $per_tenant ]] || expect --per-tenant "$per_tenant" '^[A-Za-z0-9][A-Za-z0-9._:-]*(,[A-Za-z0-9][A-Za-z0-9._:-]*)*$' 'labels of tenants, separated by commas'
[[ -z $per_model ]] || expect --per-model "$per_model" '^[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*$' 'names of models, separated by commas'

# Where completions go: the flags for `imagen setup`, which checks the rest of them.
sink_flags=()
sink() { # <option> <pattern> <what is expected> <value>…
  local option=$1 pattern=$2 what=$3 one
  shift 3
  for one in "$@"; do
    expect "$option" "$one" "^[A-Za-z][A-Za-z0-9_.~+%-]{2,254}=$pattern$" "<name of the subscription>=$what"
    sink_flags+=("$option" "$one")
  done
}
sink --completions-push 'https://[^ "]+' 'https://…' ${pushes[@]+"${pushes[@]}"}
sink --completions-bigquery '([a-z][a-z0-9-]*\.)?[A-Za-z0-9_]+\.[A-Za-z0-9_-]+' 'dataset.table, or project.dataset.table' \
  ${tables[@]+"${tables[@]}"}
sink --completions-bucket 'gs://[a-z0-9][a-z0-9._-]*[a-z0-9](/[^" ]*)?' 'gs://<bucket>/<prefix>' ${buckets[@]+"${buckets[@]}"}
for flag in push_service_account push_audience completions_filter completions_dead_letter_topic; do
  [[ -z ${!flag} ]] || sink_flags+=("--${flag//_/-}" "${!flag}")
done
[[ -z $push_service_account ]] || expect --push-service-account "$push_service_account" '^[^@ ]+@[^@ ]+\.gserviceaccount\.com$' 'the email of a service account'
[[ -z $push_service_account || ${#pushes[@]} -gt 0 ]] || problem '--push-service-account: expected with --completions-push'
[[ ${#sink_flags[@]} -eq 0 || $((${#pushes[@]} + ${#tables[@]} + ${#buckets[@]})) -gt 0 ]] ||
  problem "${sink_flags[0]}: expected with --completions-push, --completions-bigquery or --completions-bucket"

settings=("GOOGLE_CLOUD_PROJECT=$project")
setting() { # <name> <variable> <default>: as in src/config/index.ts; the places in Cloud Storage have no default there
  printf -v "$1" %s "${!2:-$3}"
  settings+=("$2=${!1}")
}
setting jobs_topic IMAGEN_JOBS_TOPIC imagen-jobs
setting jobs_subscriptions IMAGEN_JOBS_SUBSCRIPTIONS imagen-jobs-worker
setting completions_topic IMAGEN_COMPLETIONS_TOPIC imagen-completions
setting dead_letter_topic IMAGEN_DEAD_LETTER_TOPIC imagen-dead-letters
setting dead_letter_subscription IMAGEN_DEAD_LETTER_SUBSCRIPTION imagen-dead-letters-review
setting output_prefix IMAGEN_OUTPUT_PREFIX "gs://$bucket_prefix-results/"
setting state_prefix IMAGEN_STATE_PREFIX "gs://$bucket_prefix-state/records/"
setting upload_prefix IMAGEN_UPLOAD_PREFIX "gs://$bucket_prefix-uploads/incoming/"
shadow_prefix=${IMAGEN_SHADOW_PREFIX:-} # without it there are no shadows
[[ -z $shadow_prefix ]] || settings+=("IMAGEN_SHADOW_PREFIX=$shadow_prefix")
for_setup=("${settings[@]}")
setting allowed_inputs IMAGEN_ALLOWED_INPUTS "gs://$bucket_prefix-uploads/"
setting allowed_outputs IMAGEN_ALLOWED_OUTPUTS "$output_prefix"
models_bucket=$bucket_prefix-models
routes=${IMAGEN_ROUTES_FILE:-}
[[ $routes == gs://* ]] || routes='' # a file in the image or a ConfigMap needs no rights
[[ -z $routes ]] || settings+=("IMAGEN_ROUTES_FILE=$routes")

for variable in PUBSUB_EMULATOR_HOST STORAGE_EMULATOR_HOST; do
  [[ -z ${!variable:-} ]] || problem "$variable: expected to be unset, given ${!variable}: this is for Google Cloud itself"
done
place='^gs://[a-z0-9][a-z0-9._-]*[a-z0-9](/[^",]*)?$'
expect IMAGEN_OUTPUT_PREFIX "$output_prefix" "$place" 'gs://<bucket>/<prefix>'
expect IMAGEN_STATE_PREFIX "$state_prefix" "$place" 'gs://<bucket>/<prefix>'
expect IMAGEN_UPLOAD_PREFIX "$upload_prefix" "$place" 'gs://<bucket>/<prefix>'
[[ -z $shadow_prefix ]] || expect IMAGEN_SHADOW_PREFIX "$shadow_prefix" "$place" 'gs://<bucket>/<prefix>'
[[ -z $routes ]] ||
  expect IMAGEN_ROUTES_FILE "$routes" '^gs://[a-z0-9][a-z0-9._-]*[a-z0-9]/[^",]*[^",/]$' 'gs://<bucket>/<object>'
IFS=', ' read -r -a inputs <<<"$allowed_inputs"
IFS=', ' read -r -a outputs <<<"$allowed_outputs"
for one in "${inputs[@]}"; do expect IMAGEN_ALLOWED_INPUTS "$one" "$place" 'gs:// prefixes, separated by commas'; done
for one in "${outputs[@]}"; do expect IMAGEN_ALLOWED_OUTPUTS "$one" "$place" 'gs:// prefixes, separated by commas'; done

# Without their weights; or what `imagen setup` makes of the one (adapters/pubsub/filters.ts).
IFS=', ' read -r -a subscriptions <<<"$jobs_subscriptions"
for i in "${!subscriptions[@]}"; do subscriptions[i]=${subscriptions[i]%%=*}; done
if [[ -n $per_model || -n $per_tenant || -n $per_priority ]]; then
  [[ ${#subscriptions[@]} -eq 1 ]] ||
    problem "IMAGEN_JOBS_SUBSCRIPTIONS: expected one name beside --per-model, --per-tenant and --per-priority, given $jobs_subscriptions"
  shares=('')
  if [[ -n $per_tenant ]]; then
    IFS=, read -r -a shares <<<"${per_tenant//[_:]/-}"
    shares=("${shares[@]/#/tenant-}" others)
    setup_flags=(--per-tenant "$per_tenant" ${setup_flags[@]+"${setup_flags[@]}"})
  fi
  if [[ -n $per_model ]]; then
    IFS=, read -r -a models <<<"${per_model//_/-},others"
    tenants=("${shares[@]}") shares=()
    for tenant in "${tenants[@]}"; do shares+=("${models[@]/#/${tenant:+$tenant-}}"); done
    setup_flags=(--per-model "$per_model" ${setup_flags[@]+"${setup_flags[@]}"})
  fi
  [[ -z $per_priority ]] || setup_flags=(--per-priority ${setup_flags[@]+"${setup_flags[@]}"})
  base=${subscriptions[0]} subscriptions=()
  for share in "${shares[@]}"; do
    name=$base${share:+-$share}
    if [[ -n $per_priority ]]; then subscriptions+=("$name-interactive" "$name-batch"); else subscriptions+=("$name"); fi
  done
fi
for name in "$jobs_topic" "$completions_topic" "$dead_letter_topic" "$dead_letter_subscription" "${subscriptions[@]}" \
  ${completions_dead_letter_topic:+"$completions_dead_letter_topic"}; do
  [[ $name =~ ^[A-Za-z][A-Za-z0-9_.~+%-]{2,254}$ ]] || problem "$name: expected the name of a topic or subscription"
done

[[ -n $dry_run ]] || command -v gcloud >/dev/null || problem 'gcloud: expected on the PATH, found nowhere'
[[ -n $dry_run || ${#tables[@]} -eq 0 ]] || command -v bq >/dev/null || problem 'bq: expected on the PATH, found nowhere'
[[ -n $dry_run || -z $with_setup ]] || command -v npx >/dev/null ||
  problem 'npx: expected on the PATH for `imagen setup`, found nowhere; or give --no-setup'
[[ -n $dry_run || -z $with_setup || -f $(dirname "${BASH_SOURCE[0]}")/../../../dist/main.js ]] ||
  problem 'imagen: expected to be built for `imagen setup`: run npm ci first; or give --no-setup'

if [[ ${#problems[@]} -gt 0 ]]; then
  printf 'setup.sh: %s\n' "${problems[@]}" >&2
  exit 2
fi

# ── How it is done ────────────────────────────────────────────────────────────

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

heading() { printf '\n# %s\n' "$1"; }

show() { # prints a command as a shell would read it
  local word line=''
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=@,+-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
    line+=" $word"
  done
  printf '%s\n' "${line:1}"
}

in_project=(--project "$project" --quiet)

run() { # gcloud's words
  show gcloud "$@" "${in_project[@]}"
  [[ -n $dry_run ]] || gcloud "$@" "${in_project[@]}"
}

run_bq() { # bq's words
  show bq --project_id "$project" "$@"
  [[ -n $dry_run ]] || bq --project_id "$project" "$@"
}

# Whether gcloud finds it. Any failure but "not found" ends the script, because going on as if it did not exist might be wrong.
found() { # gcloud's words
  local answer
  if answer=$(gcloud "$@" "${in_project[@]}" --format=none 2>&1); then return 0; fi
  if grep -qE 'NOT_FOUND|not found' <<<"$answer"; then return 1; fi
  printf '%s\n' "$answer" >&2
  exit 1
}

ensure() { # <words that look for it> -- <words that make it>
  local look=()
  while [[ $1 != -- ]]; do look+=("$1") && shift; done
  shift
  if [[ -n $dry_run ]]; then
    printf '# unless found by: %s\n' "$(show gcloud "${look[@]}" "${in_project[@]}")"
  elif found "${look[@]}"; then
    printf '# there already: %s\n' "$(show gcloud "$@")"
    return 0
  fi
  run "$@"
}

# Adds rights, which changes nothing if they are given already. A service account that was made a moment ago is
# not known everywhere yet, and then gcloud says that it does not exist.
bind() { # gcloud's words up to add-iam-policy-binding's own
  local answer try
  show gcloud "$@" --format=none "${in_project[@]}"
  [[ -z $dry_run ]] || return 0
  for try in 1 2 3 4 5 6; do
    if answer=$(gcloud "$@" --format=none "${in_project[@]}" 2>&1); then return 0; fi
    grep -qi 'does not exist' <<<"$answer" || break
    sleep "$((try * 2))"
  done
  printf '%s\n' "$answer" >&2
  exit 1
}

role() { # <id> <title> <permission,…>: exactly these permissions
  local look=(iam roles describe "$1") write=("$1" --title "$2" --permissions "$3" --stage GA --format none)
  if [[ -n $dry_run ]]; then
    printf '# or update, if found by: %s\n' "$(show gcloud "${look[@]}" "${in_project[@]}")"
    run iam roles create "${write[@]}"
  elif found "${look[@]}"; then
    # A role that was deleted keeps its name for weeks, and only comes back this way.
    local deleted
    deleted=$(gcloud "${look[@]}" "${in_project[@]}" --format='value(deleted)')
    [[ $deleted != True ]] || run iam roles undelete "$1" --format none
    run iam roles update "${write[@]}"
  else
    run iam roles create "${write[@]}"
  fi
}

email() { printf '%s@%s.iam.gserviceaccount.com' "$1" "$project"; }
custom() { printf 'projects/%s/roles/%s' "$project" "$1"; }

# Each takes a member, a role, and the name of what the right is on.
on_topic() { bind pubsub topics add-iam-policy-binding "$3" --member "$1" --role "$2"; }
on_subscription() { bind pubsub subscriptions add-iam-policy-binding "$3" --member "$1" --role "$2"; }
on_bucket() { # a place: on all of its bucket
  local bucket=${3#gs://}
  bind storage buckets add-iam-policy-binding "gs://${bucket%%/*}" --member "$1" --role "$2" --condition None
}
on_objects() { # a place: only on what lies under it
  local rest=${3#gs://}
  local bucket=${rest%%/*} folder=''
  [[ $rest != */* ]] || folder=${rest#*/}
  while [[ $folder == */ ]]; do folder=${folder%/}; done
  if [[ -z $folder ]]; then
    on_bucket "$@"
    return
  fi
  on_names "$1" "$2" "gs://$bucket/$folder/"
}
on_names() { # only on objects whose names begin so
  local rest=${3#gs://}
  local bucket=${rest%%/*} name=${rest#*/}
  bind storage buckets add-iam-policy-binding "gs://$bucket" --member "$1" --role "$2" --condition \
    "title=$(tr -c 'a-zA-Z0-9\n' - <<<"imagen-only-${name%/}" | cut -c 1-100),expression=resource.name.startsWith(\"projects/_/buckets/$bucket/objects/$name\")"
}

# ── What is done ──────────────────────────────────────────────────────────────

heading 'APIs'
run services enable pubsub.googleapis.com storage.googleapis.com artifactregistry.googleapis.com \
  container.googleapis.com monitoring.googleapis.com iam.googleapis.com iamcredentials.googleapis.com \
  cloudresourcemanager.googleapis.com

heading 'The repository of the images'
ensure artifacts repositories describe imagen --location "$region" -- \
  artifacts repositories create imagen --location "$region" --repository-format docker \
  --description 'Images of imagen'

heading 'Roles: where a predefined one would give more than the code needs'
role imagenJobConsumer 'imagen: take jobs' pubsub.subscriptions.consume,pubsub.subscriptions.get
role imagenObjectReader 'imagen: read objects' storage.objects.get
role imagenObjectCreator 'imagen: create objects, never replace them' storage.objects.create,storage.objects.get
role imagenObjectLister 'imagen: be told that an object is missing' storage.objects.list
[[ -z $routes ]] || role imagenRoutesWriter 'imagen: replace the routes' \
  storage.objects.create,storage.objects.delete,storage.objects.get
role imagenSetup 'imagen: make topics, subscriptions and buckets' \
  pubsub.topics.create,pubsub.topics.get,pubsub.topics.attachSubscription,pubsub.subscriptions.create,pubsub.subscriptions.get,pubsub.subscriptions.list,pubsub.subscriptions.update,storage.buckets.create,storage.buckets.get,storage.buckets.update

heading 'Identities'
account() { # <name> <description>: it is then the member that $name names
  ensure iam service-accounts describe "$(email "imagen-$1")" -- \
    iam service-accounts create "imagen-$1" --display-name "imagen-$1" --description "$2"
  printf -v "$1" %s "serviceAccount:$(email "imagen-$1")"
}
account worker 'Works on jobs'
account triton 'Reads models'
account publisher 'Publishes jobs, uploads pictures'
account operator 'Sets up, cancels jobs, looks at dead letters'

heading 'The bucket of the models'
ensure storage buckets describe "gs://$models_bucket" -- \
  storage buckets create "gs://$models_bucket" --location "$region" --uniform-bucket-level-access \
  --public-access-prevention

imagen_setup() { # more flags
  local setup=(env "${for_setup[@]}" npx --no-install imagen setup --location "$region" ${setup_flags[@]+"${setup_flags[@]}"} "$@")
  if [[ -z $with_setup ]]; then
    printf '# left out: %s\n' "$(show "${setup[@]}")"
    return
  fi
  echo '# with your application default credentials: gcloud auth application-default login'
  show "${setup[@]}"
  [[ -n $dry_run ]] || "${setup[@]}"
}

heading 'Topics, subscriptions and buckets'
imagen_setup

heading 'Rights of the workers'
for name in "${subscriptions[@]}"; do on_subscription "$worker" "$(custom imagenJobConsumer)" "$name"; done
for name in "$jobs_topic" "$completions_topic" "$dead_letter_topic"; do on_topic "$worker" roles/pubsub.publisher "$name"; done
# Without the right to list, storage answers 403 where an object is missing; no condition on names can hold for that one.
for one in "${inputs[@]}"; do
  on_objects "$worker" "$(custom imagenObjectReader)" "$one"
  on_bucket "$worker" "$(custom imagenObjectLister)" "$one"
done
for one in "${outputs[@]}" "$state_prefix"; do on_objects "$worker" "$(custom imagenObjectCreator)" "$one"; done
on_bucket "$worker" "$(custom imagenObjectLister)" "$state_prefix"
[[ -z $shadow_prefix ]] || on_objects "$worker" "$(custom imagenObjectCreator)" "$shadow_prefix"
[[ -z $routes ]] || on_names "$worker" "$(custom imagenObjectReader)" "$routes"

heading 'Rights of Triton'
# It asks for the bucket itself, too, which objectViewer does not permit.
on_bucket "$triton" roles/storage.objectViewer "gs://$models_bucket"
on_bucket "$triton" roles/storage.legacyBucketReader "gs://$models_bucket"

heading 'Rights of publishers'
on_topic "$publisher" roles/pubsub.publisher "$jobs_topic"
on_objects "$publisher" "$(custom imagenObjectCreator)" "$upload_prefix"

heading 'Rights of operators'
bind projects add-iam-policy-binding "$project" --member "$operator" --role "$(custom imagenSetup)" --condition None
on_subscription "$operator" "$(custom imagenJobConsumer)" "$dead_letter_subscription"
on_topic "$operator" roles/pubsub.publisher "$jobs_topic"
for one in "$upload_prefix" "$state_prefix"; do on_objects "$operator" "$(custom imagenObjectCreator)" "$one"; done
# Records, and the receipts of what was submitted, which a redrive looks for.
for one in "$upload_prefix" "$state_prefix"; do on_bucket "$operator" "$(custom imagenObjectLister)" "$one"; done
if [[ -n $routes ]]; then # the history has the same beginning
  on_names "$operator" "$(custom imagenRoutesWriter)" "$routes"
  on_bucket "$operator" "$(custom imagenObjectLister)" "$routes"
fi
on_objects "$operator" "$(custom imagenObjectReader)" "$output_prefix"
if [[ -n $shadow_prefix ]]; then # for `imagen shadow report`
  on_objects "$operator" "$(custom imagenObjectReader)" "$shadow_prefix"
  on_bucket "$operator" "$(custom imagenObjectLister)" "$shadow_prefix"
fi

heading 'Rights of Pub/Sub itself, which moves dead letters'
number=PROJECT_NUMBER
show gcloud projects describe "$project" '--format=value(projectNumber)' --quiet
if [[ -z $dry_run ]]; then
  number=$(gcloud projects describe "$project" '--format=value(projectNumber)' --quiet)
  [[ $number =~ ^[0-9]+$ ]] || { echo "setup.sh: expected the number of $project, given ${number:-nothing}" >&2 && exit 1; }
fi
agent=serviceAccount:service-$number@gcp-sa-pubsub.iam.gserviceaccount.com
on_topic "$agent" roles/pubsub.publisher "$dead_letter_topic"
for name in "${subscriptions[@]}"; do on_subscription "$agent" roles/pubsub.subscriber "$name"; done

if [[ ${#sink_flags[@]} -gt 0 ]]; then
  heading 'Where completions go: what Pub/Sub writes to, and its rights there'
  [[ ${#tables[@]} -eq 0 ]] || run services enable bigquery.googleapis.com
  for one in ${tables[@]+"${tables[@]}"}; do
    table=${one#*=}
    dataset=${table%.*}
    if [[ $dataset == *.* ]]; then dataset=${dataset/./:}; else dataset=$project:$dataset; fi
    table=$dataset.${table##*.}
    # --force: what is there stays.
    run_bq mk --force --dataset --location "$region" "$dataset"
    run_bq mk --force --table --time_partitioning_type DAY --time_partitioning_field publish_time "$table" \
      docs/examples/completions-table.json
    run_bq add-iam-policy-binding --table=true --member "$agent" --role roles/bigquery.dataEditor "$table"
  done
  for one in ${buckets[@]+"${buckets[@]}"}; do
    bucket=${one#*=gs://}
    bucket=gs://${bucket%%/*}
    ensure storage buckets describe "$bucket" -- \
      storage buckets create "$bucket" --location "$region" --uniform-bucket-level-access --public-access-prevention
    on_bucket "$agent" roles/storage.objectCreator "$bucket"
    on_bucket "$agent" roles/storage.legacyBucketReader "$bucket"
  done
  if [[ -n $push_service_account ]]; then
    on_account() { bind iam service-accounts add-iam-policy-binding "$push_service_account" --member "$1" --role "$2" --condition None; }
    on_account "$agent" roles/iam.serviceAccountTokenCreator
    # To make such a subscription, one must be permitted to have that account's tokens sent.
    on_account "$operator" roles/iam.serviceAccountUser
  fi
  imagen_setup "${sink_flags[@]}"
  if [[ -n $completions_dead_letter_topic ]]; then
    on_topic "$agent" roles/pubsub.publisher "$completions_dead_letter_topic"
    for one in ${pushes[@]+"${pushes[@]}"} ${tables[@]+"${tables[@]}"}; do
      on_subscription "$agent" roles/pubsub.subscriber "${one%%=*}"
    done
  fi
fi

if [[ -n $node_service_account ]]; then
  heading "Rights of the cluster's nodes"
  bind artifacts repositories add-iam-policy-binding imagen --location "$region" \
    --member "serviceAccount:$node_service_account" --role roles/artifactregistry.reader
fi

if [[ -z $cluster ]]; then
  heading 'No --cluster: run this again with it, so that pods get their identities'
else
  heading "Identities of the pods in $cluster"
  pool=$project.svc.id.goog
  describe=(container clusters describe "$cluster" --location "$cluster_location" '--format=value(workloadIdentityConfig.workloadPool)')
  show gcloud "${describe[@]}" "${in_project[@]}"
  if [[ -z $dry_run ]]; then
    actual=$(gcloud "${describe[@]}" "${in_project[@]}")
    if [[ $actual != "$pool" ]]; then
      echo "setup.sh: cluster $cluster: expected Workload Identity with the pool $pool, found ${actual:-none}" >&2
      exit 1
    fi
  fi
  pod() { # <identity> <namespace/Kubernetes service account>
    bind iam service-accounts add-iam-policy-binding "$(email "$1")" --role roles/iam.workloadIdentityUser \
      --member "serviceAccount:$pool[$2]" --condition None
  }
  pod imagen-worker imagen/imagen-worker
  pod imagen-triton imagen/triton
  # The adapter of the HPA's external metrics and KEDA read the backlog. Neither needs an identity of ours.
  pool_path=principal://iam.googleapis.com/projects/$number/locations/global/workloadIdentityPools/$pool
  for one in custom-metrics/sa/custom-metrics-stackdriver-adapter keda/sa/keda-operator; do
    bind projects add-iam-policy-binding "$project" --member "$pool_path/subject/ns/$one" \
      --role roles/monitoring.viewer --condition None
  done
fi

heading 'Done. Workers and publishers need these settings:'
printf '# %s\n' "${settings[@]}"
printf '# IMAGEN_JOBS_SUBSCRIPTIONS of a worker: any of %s\n' "$(IFS=, && echo "${subscriptions[*]}")"
printf '# Images go to %s-docker.pkg.dev/%s/imagen, models to gs://%s/\n' "$region" "$project" "$models_bucket"
