import { FAILED_BY_US } from '../monitoring/codes.js';
import { dashboard, labelVariable, lines, NAMESPACE } from './panels.js';

const OF = 'namespace=~"$namespace",model=~"$model"';
const BY = 'sum by (model, version, arm)';
const NAME = '{{model}} {{version}} ({{arm}})';
const rate = (more = '') => `${BY} (rate(imagen_jobs_total{${OF}${more}}[$__rate_interval]))`;
const operations = (which: string) =>
  `${BY} (rate(imagen_experiment_operations_total{${OF},${which}}[$__rate_interval]))`;
const took = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le, model, version, arm) (rate(imagen_job_duration_seconds_bucket{${OF}}[$__rate_interval])))`;

export const versions = dashboard(
  {
    uid: 'imagen-versions',
    title: 'imagen: versions side by side',
    about: 'Versions and arms of a model beside each other: is the new one as good?',
    variables: [NAMESPACE, labelVariable('model', 'Model', 'imagen_jobs_total')],
  },
  {
    'Who gets what?': [
      lines('Jobs', {
        about: 'A second, by version and arm of the last operation. It should be as the routes file says.',
        queries: [[rate(), NAME]],
        ...{ unit: 'reqps', width: 12, stacked: true },
      }),
      lines('Share of its model’s jobs', {
        about: 'Arms are sticky by experimentKey: few callers make shares that differ from the weights.',
        queries: [
          [
            `${rate()} / on (model) group_left () sum by (model) (rate(imagen_jobs_total{${OF}}[$__rate_interval]))`,
            NAME,
          ],
        ],
        ...{ unit: 'percentunit', width: 12, max: 1 },
      }),
    ],
    'Is one worse?': [
      lines('Share that fails, and not by the publisher’s fault', {
        about:
          'One version over the others of its model: take it out of the routes file (runbook VersionFailing), then look for why.',
        queries: [[`(${rate(`,${FAILED_BY_US}`)} or ${rate()} * 0) / ${rate()}`, NAME]],
        ...{ unit: 'percentunit', width: 12, max: 1 },
      }),
      lines('Errors by code', {
        about:
          'INFERENCE_FAILED and MODEL_ codes are the version’s. Jobs that fail before a version is chosen count as “unknown”.',
        queries: [
          [
            `sum by (model, version, code) (rate(imagen_jobs_total{${OF},code!=""}[$__rate_interval]))`,
            '{{model}} {{version}}: {{code}}',
          ],
        ],
        ...{ unit: 'reqps', width: 12 },
      }),
      lines('Failures at Triton', {
        about: 'Requests, before any retry. Failures here without failures above: retries hide it, for now.',
        queries: [
          [
            'sum by (model, version, reason) (rate(nv_inference_request_failure{model=~"$model",reason!="CANCELED"}[$__rate_interval]))',
            '{{model}} {{version}}: {{reason}}',
          ],
        ],
        ...{ unit: 'reqps', width: 24 },
      }),
    ],
    'What do the arms of experiments do?': [
      lines('Arms stopped', {
        about: 'Workers that send the jobs of an arm to the default version: runbook CanaryStopped.',
        queries: [[`sum by (model, arm) (imagen_experiment_stopped{${OF}})`, '{{model}} {{arm}}']],
        unit: 'short',
      }),
      lines('Operations that fail on an arm', {
        about:
          'Of those that ended on it; what the guard judges. Its jobs need not fail: the default version does them again.',
        queries: [[`${operations('outcome="failed"')} / ${operations('outcome=~"done|failed"')}`, NAME]],
        ...{ unit: 'percentunit', max: 1 },
      }),
      lines('Operations on arms', {
        about: 'A second, by how they ended. “unclear” failed on the default version as well: it may be the picture.',
        queries: [
          [
            `sum by (model, version, arm, outcome) (rate(imagen_experiment_operations_total{${OF}}[$__rate_interval]))`,
            `${NAME}: {{outcome}}`,
          ],
        ],
        unit: 'reqps',
      }),
      lines('Fallbacks', {
        about: 'Operations that the default version did after the version of an arm had failed: each has cost both.',
        queries: [[`${BY} (rate(imagen_fallbacks_total{${OF}}[$__rate_interval]))`, NAME]],
        ...{ unit: 'reqps', width: 24 },
      }),
    ],
    'Is one slower?': [
      lines('Half of the jobs take less than', {
        about: 'From receipt to outcome, the wait for a place included.',
        queries: [[took(0.5), NAME]],
        unit: 's',
      }),
      lines('One job in twenty takes longer than', {
        about: 'Where this rises and the half does not, a few large pictures or a busy GPU are the reason.',
        queries: [[took(0.95), NAME]],
        unit: 's',
      }),
      lines('Round trip to Triton, mean', {
        about: 'One request, by version and transport.',
        queries: [
          [
            `sum by (model, version, transport) (rate(imagen_triton_round_trip_seconds_sum{${OF}}[$__rate_interval])) / sum by (model, version, transport) (rate(imagen_triton_round_trip_seconds_count{${OF}}[$__rate_interval]))`,
            '{{model}} {{version}}, {{transport}}',
          ],
        ],
        unit: 's',
      }),
      lines('Batch size', {
        about: 'A version with few jobs has small batches, and so looks slower than it is.',
        queries: [
          [
            'sum by (model, version) (rate(nv_inference_count{model=~"$model"}[$__rate_interval])) / sum by (model, version) (rate(nv_inference_exec_count{model=~"$model"}[$__rate_interval]))',
            '{{model}} {{version}}',
          ],
        ],
        ...{ unit: 'short', width: 12 },
      }),
      lines('Computing, an image', {
        about: 'Seconds of an execution for each of its images: what the version costs the GPU.',
        queries: [
          [
            'sum by (model, version) (rate(nv_inference_compute_infer_duration_us{model=~"$model"}[$__rate_interval])) / sum by (model, version) (rate(nv_inference_request_success{model=~"$model"}[$__rate_interval])) / 1e6',
            '{{model}} {{version}}',
          ],
        ],
        ...{ unit: 's', width: 12 },
      }),
    ],
  },
);
