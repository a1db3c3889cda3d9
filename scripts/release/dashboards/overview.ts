import { dashboard, figure, labelVariable, late, lines, NAMESPACE, SUBSCRIPTION, verdict } from './panels.js';

const NS = 'namespace=~"$namespace"';
const WORKERS = `${NS},job="imagen-worker"`;
const jobs = (more = '') => `sum(rate(imagen_jobs_total{${NS}${more}}[$__rate_interval]))`;
const share = (of: string) => `sum(${of}{${NS}}) / sum(${of}_limit{${NS}})`;
const stage = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le, stage) (rate(imagen_stage_duration_seconds_bucket{${NS},stage!="queued"}[$__rate_interval])))`;
const waited = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le) (rate(imagen_stage_duration_seconds_bucket{${NS},stage="queued"}[$__rate_interval])))`;

/** Of the model that uses most of what may be in flight. */
const TRITON_FULL = `max(sum by (model) (imagen_inference_in_flight{${NS}}) / sum by (model) (imagen_inference_in_flight_limit{${NS}}))`;
const REQUESTS_WAIT = `sum(imagen_inference_waiting{${NS}})`;
const PLACES = share('imagen_jobs_active');
const QUEUE_SHARE =
  'sum(rate(nv_inference_queue_duration_us[$__rate_interval])) / sum(rate(nv_inference_request_duration_us[$__rate_interval]))';

/** The first that holds: see the words that it is shown with. */
const VERDICT = [
  `(max(imagen_triton_ready{${NS}}) == 0) * 0 + 3`,
  `(${TRITON_FULL} >= 0.9 and ${REQUESTS_WAIT} > 0) * 0 + 1`,
  `(${PLACES} >= 0.9) * 0 + 2`,
  `(max(rate(process_cpu_seconds_total{${WORKERS}}[$__rate_interval])) >= 0.9) * 0 + 2`,
  'vector(0)',
].join('\nor ');

export const overview = dashboard(
  {
    uid: 'imagen-overview',
    title: 'imagen: overview',
    about: 'Are jobs late, why, and what to do.',
    variables: [NAMESPACE, SUBSCRIPTION, labelVariable('model', 'Model', 'imagen_jobs_total')],
  },
  {
    'Are jobs late?': [
      figure('Backlog', {
        about:
          'Messages that no worker has acked, those in work included. Google’s figure is 2 to 4 minutes old. If it grows for half an hour: runbook BacklogGrowing.',
        queries: [[`sum(${late('subscription_num_undelivered_messages')})`, 'messages']],
        unit: 'short',
      }),
      figure('Oldest job', {
        about:
          'How long ago the oldest of them was published. A job that was put back counts from then on, so look at “waited” as well. Over ten minutes: runbook JobsLate.',
        queries: [[`max(${late('subscription_oldest_unacked_message_age')})`, 'age']],
        ...{ unit: 's', warnAt: 300, alarmAt: 600 },
      }),
      figure('Jobs that ended', {
        about: 'A second, however they ended.',
        queries: [[jobs(), 'jobs/s']],
        unit: 'reqps',
      }),
      figure('Jobs that did not succeed', {
        about: 'Share of those that ended. Which codes: below. Over 5 % of codes that are ours: runbook ErrorRatio.',
        queries: [[`(${jobs(',status!="succeeded"')} or vector(0)) / ${jobs()}`, 'share']],
        ...{ unit: 'percentunit', warnAt: 0.05, alarmAt: 0.2 },
      }),
      figure('Workers', {
        about: 'That answer. None: runbook WorkerDown.',
        queries: [[`sum(up{${WORKERS}})`, 'workers']],
        unit: 'short',
      }),
      figure('Workers that reach Triton', {
        about: 'Fewer than there are workers: runbook TritonNotReady.',
        queries: [[`sum(imagen_triton_ready{${NS}})`, 'workers']],
        unit: 'short',
      }),
      lines('Backlog', {
        about:
          'By subscription. It falls while jobs are done faster than they come; level at a height means that what comes is just done, and late.',
        queries: [
          [`sum by (subscription_id) (${late('subscription_num_undelivered_messages')})`, '{{subscription_id}}'],
        ],
        unit: 'short',
      }),
      lines('Age of the oldest, and how long jobs had waited', {
        about:
          'Waited: from the first publish to the start, of jobs that ended. The two part where jobs are put back because a model is down.',
        queries: [
          [`max(${late('subscription_oldest_unacked_message_age')})`, 'oldest in Pub/Sub'],
          [waited(0.5), 'waited, half of them'],
          [waited(0.9), 'waited, one in ten longer'],
        ],
        unit: 's',
      }),
      lines('Jobs that ended, by how', {
        about:
          'Against what is published, if your publishers count it. It stops with a backlog: runbook NoProgress. The colour to look for is not “succeeded”.',
        queries: [[`sum by (status) (rate(imagen_jobs_total{${NS},model=~"$model"}[$__rate_interval]))`, '{{status}}']],
        ...{ unit: 'reqps', stacked: true },
      }),
    ],
    'Is it the worker or the GPU?': [
      verdict(
        'What holds jobs up',
        {
          about:
            'GPU: as many requests as may be are in flight and more wait: more workers will not help, more GPUs or fuller batches do (runbook GpuBound). Worker: places or processor are used up and Triton has room: more workers help. No Triton: runbook TritonNotReady.',
          queries: [[VERDICT, 'verdict']],
        },
        [
          ['Nothing', 'green'],
          ['GPU', 'orange'],
          ['Worker', 'yellow'],
          ['No Triton', 'red'],
        ],
      ),
      lines('How full', {
        about:
          'Shares of what may be used. Triton full and places full: it is the GPU, the places only wait for it. Places full and Triton not: it is the worker. Memory full: pictures are large, see IMAGEN_MAX_DECODED_BYTES.',
        queries: [
          [TRITON_FULL, 'requests at Triton, fullest model'],
          [PLACES, 'places for jobs'],
          [share('imagen_decoded_bytes'), 'memory for pictures'],
        ],
        ...{ unit: 'percentunit', width: 7 },
      }),
      lines('GPU', {
        about:
          'Busy, as NVIDIA counts it. Low with a backlog: requests do not come, or come one by one (dashboard Triton). There is no such figure without a GPU.',
        queries: [
          ['avg(nv_gpu_utilization)', 'busy'],
          [QUEUE_SHARE, 'share of the time at Triton spent in its queue'],
        ],
        ...{ unit: 'percentunit', max: 1, width: 6 },
      }),
      lines('Worker: processor and event loop', {
        about:
          'Cores used by the busiest worker, and how late its event loop is: over a tenth of a second it is too busy, and leases may be lost. More workers help.',
        queries: [
          [`max(rate(process_cpu_seconds_total{${WORKERS}}[$__rate_interval]))`, 'cores'],
          [`max(nodejs_eventloop_lag_p99_seconds{${WORKERS}})`, 'event loop late by, seconds'],
        ],
        ...{ unit: 'short', width: 7 },
      }),
    ],
    'What goes wrong?': [
      lines('Errors by code', {
        about:
          'Jobs that ended with an error. What each code means: README, “Read the completion”. Codes about input and message are the publisher’s; STORAGE_, MODEL_, INFERENCE_, WORKER_LOST and RETRIES_EXHAUSTED are ours.',
        queries: [
          [`sum by (code) (rate(imagen_jobs_total{${NS},code!="",model=~"$model"}[$__rate_interval]))`, '{{code}}'],
        ],
        ...{ unit: 'reqps', stacked: true },
      }),
      lines('Put back and given back', {
        about:
          'Put back: something was down, no attempt is counted. Given back: counts as an attempt, should be rare. Redelivered: a worker died or lost a lease.',
        queries: [
          [`sum by (code) (rate(imagen_deferred_total{${NS}}[$__rate_interval]))`, 'put back: {{code}}'],
          [`sum by (code) (rate(imagen_given_back_total{${NS}}[$__rate_interval]))`, 'given back: {{code}}'],
          [`sum(rate(imagen_redeliveries_total{${NS}}[$__rate_interval]))`, 'redelivered'],
        ],
        unit: 'reqps',
      }),
      lines('Dead letters, lost leases, replays', {
        about: 'In the hour before. Runbooks DeadLetters and LeasesLost; replays are harmless duplicates.',
        queries: [
          [`sum by (code) (increase(imagen_dead_letters_total{${NS}}[1h]))`, 'dead letter: {{code}}'],
          [`sum(increase(imagen_leases_lost_total{${NS}}[1h]))`, 'leases lost'],
          [`sum(increase(imagen_replays_total{${NS}}[1h]))`, 'replays'],
        ],
        unit: 'short',
      }),
      lines('Errors at Triton, retries included', {
        about: 'Attempts that failed. Here trouble shows that retries still hide: runbook ModelUnavailable.',
        queries: [
          [`sum by (model, code) (rate(imagen_triton_errors_total{${NS}}[$__rate_interval]))`, '{{model}}: {{code}}'],
        ],
        unit: 'reqps',
      }),
      lines('Models that can be used', {
        about:
          '1 where all workers can use it. 0, or a circuit that is open: runbook ModelUnavailable. A replica that fails: ReplicaFailing.',
        queries: [
          [`min by (model) (imagen_model_ready{${NS}})`, '{{model}}'],
          [`max by (model) (imagen_model_circuit_open{${NS}})`, 'circuit of {{model}}'],
          [`max by (model, replica) (imagen_replica_failing{${NS}})`, '{{model}} fails at {{replica}}'],
        ],
        ...{ unit: 'short', max: 1 },
      }),
      lines('Why workers begin no further job', {
        about:
          'How many workers, by the reason: places (all taken), memory, models (Triton serves none), alone (a job that may kill workers), starting, stopping.',
        queries: [[`sum by (reason) (imagen_intake_paused{${NS}})`, '{{reason}}']],
        unit: 'short',
      }),
    ],
    'How full are the workers?': [
      lines('Jobs', {
        about: 'In work, waiting for a place, standing aside for a model that is down; and how many places there are.',
        queries: [
          [`sum(imagen_jobs_active{${NS}})`, 'in work'],
          [`sum(imagen_jobs_waiting{${NS}})`, 'waiting'],
          [`sum(imagen_jobs_parked{${NS}})`, 'standing aside'],
          [`sum(imagen_jobs_active_limit{${NS}})`, 'places'],
        ],
        unit: 'short',
      }),
      lines('Memory of the fullest worker', {
        about: 'Share of its limit. Over 0.9: runbook MemoryNearLimit.',
        queries: [
          [`max(process_resident_memory_bytes{${WORKERS}} / imagen_memory_limit_bytes{${NS}})`, 'resident'],
          [`max(imagen_decoded_bytes{${NS}} / imagen_decoded_bytes_limit{${NS}})`, 'reserved for pictures'],
        ],
        ...{ unit: 'percentunit', max: 1, warnAt: 0.8, alarmAt: 0.9 },
      }),
      lines('Where the time of a job goes', {
        about: 'Half of the jobs are faster in each stage. Inference includes the wait for Triton.',
        queries: [[stage(0.5), '{{stage}}']],
        unit: 's',
      }),
    ],
  },
);
