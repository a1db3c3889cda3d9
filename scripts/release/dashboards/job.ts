import { DashboardLinkBuilder, DashboardLinkType } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, labelVariable, lines, NAMESPACE, textVariable, words } from './panels.js';

const NS = 'namespace=~"$namespace"';
const stage = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le, stage) (rate(imagen_stage_duration_seconds_bucket{${NS}}[$__rate_interval])))`;

const CONSOLE = 'https://console.cloud.google.com';
/** Cloud Logging's query language, in a path of its console. */
const logs = (query: string) => `${CONSOLE}/logs/query;query=${encodeURIComponent(query).replaceAll('%24', '$')}`;
const BY_JOB = `${logs('resource.type="k8s_container" jsonPayload.jobId="$job"')};timeRange=P7D?project=$project`;
const BY_TRACE = `${CONSOLE}/traces/list?project=$project&tid=$trace`;

const link = (title: string, url: string, tooltip: string) =>
  new DashboardLinkBuilder(title).type(DashboardLinkType.Link).url(url).tooltip(tooltip).targetBlank(true);

const STORY = `
**1. What it said.** Every job ends with one line in the log, “job ended”, with its id:
[Cloud Logging, by jobId](${BY_JOB}). On your own machine: \`grep '"jobId":"…"'\` in what the worker has written.

**2. What that line tells.** \`status\`; \`error\` with code, stage and a sentence; \`attempt\` (above 1: a worker died or lost its lease before); \`timingsMs\` (which
stage took long; compare below); \`steps\` (model, served version, plan, requests); \`replay\` (it had ended before).

**3. Every step of it.** The line has a trace id where tracing is on: [the trace](${BY_TRACE}).

**4. No line at all?** It is still in the queue (overview: oldest job), or stands aside or was put back because something is down (lines with
its \`messageId\`, which publishing it has returned), or was never published.
`.trim();

export const job = dashboard(
  {
    uid: 'imagen-job',
    title: 'imagen: one job’s story',
    about: 'From a jobId to its log lines and its trace, beside what all jobs did at that time.',
    variables: [
      NAMESPACE,
      labelVariable('model', 'Model', 'imagen_jobs_total'),
      labelVariable('version', 'Version', 'imagen_jobs_total'),
      textVariable('job', 'jobId', 'order-8841.front', 'Of the job whose story it is'),
      textVariable('trace', 'Trace id', '0', '32 hexadecimal digits: from the log line'),
      textVariable('project', 'Project', 'my-project', 'Google Cloud project of logs and traces'),
    ],
  },
  {
    'What happened to it?': [words('How to follow a job', STORY)],
    'Was it like the others of that time? (set the time range to the job’s)': [
      lines('Stages, half of the jobs', {
        about:
          'Its own timingsMs beside these. queued: the time in the backlog; inference: Triton, and the wait for it.',
        queries: [[stage(0.5), '{{stage}}']],
        ...{ unit: 's', width: 12 },
      }),
      lines('Stages, one job in twenty is slower', {
        about: 'A job at this line is no exception, it was only unlucky. Far above it: look at its size and its steps.',
        queries: [[stage(0.95), '{{stage}}']],
        ...{ unit: 's', width: 12 },
      }),
      lines('How jobs of that model ended', {
        about: 'Did others fail with the same code? Then it is not the job.',
        queries: [
          [
            `sum by (status, code) (rate(imagen_jobs_total{${NS},model=~"$model",version=~"$version"}[$__rate_interval]))`,
            '{{status}} {{code}}',
          ],
        ],
        unit: 'reqps',
      }),
      lines('How long jobs of that model took', {
        about: 'From receipt to outcome, without the time in the backlog.',
        queries: [
          [
            `histogram_quantile(0.5, sum by (le, model, version) (rate(imagen_job_duration_seconds_bucket{${NS},model=~"$model",version=~"$version"}[$__rate_interval])))`,
            '{{model}} {{version}}',
          ],
        ],
        unit: 's',
      }),
      lines('What went wrong around it', {
        about: 'Messages put back, given back or delivered again at that time: restarts, a model that was away.',
        queries: [
          [`sum(rate(imagen_deferred_total{${NS}}[$__rate_interval])) or vector(0)`, 'put back'],
          [`sum(rate(imagen_given_back_total{${NS}}[$__rate_interval])) or vector(0)`, 'given back'],
          [`sum(rate(imagen_redeliveries_total{${NS}}[$__rate_interval]))`, 'delivered again'],
        ],
        unit: 'reqps',
      }),
    ],
  },
)
  .link(link('Log lines of the job', BY_JOB, 'Cloud Logging, by jobId'))
  .link(link('Trace', BY_TRACE, 'Cloud Trace, by trace id'));
