import { dashboard, figure, labelVariable, lines } from './panels.js';

const OF = 'model=~"$model",version=~"$version"';
const BY = 'sum by (model, version)';
const NAME = '{{model}} {{version}}';
const rate = (metric: string) => `${BY} (rate(${metric}{${OF}}[$__rate_interval]))`;
const each = (duration: string, of: string) => `${rate(duration)} / ${rate(of)} / 1e6`;

export const triton = dashboard(
  {
    uid: 'imagen-triton',
    title: 'imagen: Triton',
    about: 'Do batches form, does the GPU work, what waits: by model and version.',
    variables: [
      labelVariable('model', 'Model', 'nv_inference_count'),
      labelVariable('version', 'Version', 'nv_inference_count'),
    ],
  },
  {
    'Do batches form?': [
      lines('Batch size', {
        about:
          'Images in one execution. 1 while more than a few requests are in flight: runbook BatchesNotForming. What limits it: max_batch_size, and how many requests of one shape meet.',
        queries: [[`${rate('nv_inference_count')} / ${rate('nv_inference_exec_count')}`, NAME]],
        unit: 'short',
      }),
      lines('Executions', {
        about: 'A second. More executions for as many images are smaller batches.',
        queries: [[rate('nv_inference_exec_count'), NAME]],
        unit: 'reqps',
      }),
      lines('Images', {
        about: 'Tiles, frames or whole pictures a second: what the GPU gets done.',
        queries: [[rate('nv_inference_count'), NAME]],
        unit: 'reqps',
      }),
    ],
    'Where is the time?': [
      lines('In the queue, a request', {
        about: 'Longer than the compute time: the GPU is the limit, or the batcher waits too long (max_queue_delay).',
        queries: [[each('nv_inference_queue_duration_us', 'nv_inference_request_success'), NAME]],
        unit: 's',
      }),
      lines('Computing, a request', {
        about: 'Input, inference and output. It grows with the batch, but less than the batch does.',
        queries: [
          [
            `(${rate('nv_inference_compute_input_duration_us')} + ${rate('nv_inference_compute_infer_duration_us')} + ${rate('nv_inference_compute_output_duration_us')}) / ${rate('nv_inference_request_success')} / 1e6`,
            NAME,
          ],
        ],
        unit: 's',
      }),
      lines('What the worker sees, and what Triton has', {
        about:
          'Mean of a round trip and of Triton’s part in it. What lies between is the network and the copying of tensors: shared memory makes it small.',
        queries: [
          [
            'sum by (model, version) (rate(imagen_triton_round_trip_seconds_sum{model=~"$model",version=~"$version"}[$__rate_interval])) / sum by (model, version) (rate(imagen_triton_round_trip_seconds_count{model=~"$model",version=~"$version"}[$__rate_interval]))',
            `${NAME}: round trip`,
          ],
          [each('nv_inference_request_duration_us', 'nv_inference_request_success'), `${NAME}: at Triton`],
        ],
        unit: 's',
      }),
    ],
    'What waits, and what fails?': [
      lines('Pending at Triton', {
        about: 'Requests that wait for their execution. Near zero while workers hold back what would only wait.',
        queries: [[`${BY} (nv_inference_pending_request_count{${OF}})`, NAME]],
        unit: 'short',
      }),
      lines('In flight, and how many may be', {
        about:
          'From the workers. At the limit, with requests that wait: the GPU is the limit (runbook GpuBound). A limit that has sunk: Triton’s queue was full, or the model is away.',
        queries: [
          [`${BY} (imagen_inference_in_flight{${OF}})`, `${NAME}: in flight`],
          [`${BY} (imagen_inference_in_flight_limit{${OF}})`, `${NAME}: may be`],
          [`${BY} (imagen_inference_waiting{${OF}})`, `${NAME}: wait in workers`],
        ],
        unit: 'short',
      }),
      lines('Failures by reason', {
        about:
          'REJECTED: the queue was full. CANCELED: the job had ended. BACKEND: the model’s own error, look into Triton’s log. OTHER: Triton’s.',
        queries: [
          [
            `sum by (model, version, reason) (rate(nv_inference_request_failure{${OF}}[$__rate_interval]))`,
            `${NAME}: {{reason}}`,
          ],
        ],
        unit: 'reqps',
      }),
      lines('Pixels computed for each that was needed', {
        about: 'Margins, padding and frames. 1 is none of it; how much is worth a batch: docs/batching.md.',
        queries: [
          [
            `${BY} (rate(imagen_inference_pixels_computed_total{${OF}}[$__rate_interval])) / ${BY} (rate(imagen_inference_pixels_useful_total{${OF}}[$__rate_interval]))`,
            NAME,
          ],
        ],
        unit: 'short',
      }),
      lines('What the planner has learned', {
        about: 'What an execution costs, and a million pixels of it. It decides how pictures are cut by these two.',
        queries: [
          [`avg by (model, version) (imagen_planner_launch_seconds{${OF}})`, `${NAME}: execution`],
          [`avg by (model, version) (imagen_planner_megapixel_seconds{${OF}})`, `${NAME}: megapixel`],
        ],
        unit: 's',
      }),
      lines('Processor and memory of Triton’s machine', {
        about:
          'Share of the processor, and of the memory. Models on the CPU, and the code around those on a GPU, use both.',
        queries: [
          ['avg(nv_cpu_utilization)', 'processor'],
          ['max(nv_cpu_memory_used_bytes / nv_cpu_memory_total_bytes)', 'memory'],
        ],
        ...{ unit: 'percentunit', max: 1 },
      }),
    ],
    'The GPU (nothing here where there is none)': [
      figure('Busy', {
        about: 'Mean of all. High with a backlog: more GPUs, or fuller batches. Low with a backlog: see above.',
        queries: [['avg(nv_gpu_utilization)', 'busy']],
        unit: 'percentunit',
      }),
      figure('Memory of the fullest', {
        about: 'Over 0.9 the next model or version may not load: triton/README.md, memory of one T4.',
        queries: [['max(nv_gpu_memory_used_bytes / nv_gpu_memory_total_bytes)', 'used']],
        ...{ unit: 'percentunit', warnAt: 0.8, alarmAt: 0.9 },
      }),
      lines('Busy, by GPU', {
        about: 'Uneven: requests do not reach all Tritons (the headless Service, and workers’ round robin).',
        queries: [['max by (gpu_uuid) (nv_gpu_utilization)', '{{gpu_uuid}}']],
        ...{ unit: 'percentunit', max: 1 },
      }),
      lines('Memory, by GPU', {
        about: 'It rises with every model that is loaded, and with the largest batch that has run.',
        queries: [['max by (gpu_uuid) (nv_gpu_memory_used_bytes)', '{{gpu_uuid}}']],
        unit: 'bytes',
      }),
    ],
  },
);
