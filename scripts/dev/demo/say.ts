import type { Completion } from '../../../src/domain/completion.js';
import { defaultPagePort } from '../stack/ports.js';
import type { Burst } from './burst.js';
import type { DemoStack } from './demo-stack.js';
import type { Outcome } from './run.js';

/** For `console.table`. */
export const rowsOf = (outcomes: readonly Outcome[]): object =>
  Object.fromEntries(outcomes.map((outcome) => [outcome.job.name, rowOf(outcome)]));

function rowOf({ job, completion, problem }: Outcome): object {
  const { input, output, steps = [], timingsMs }: Partial<Completion> = completion ?? {};
  const served = steps.map(({ model, servedVersion }) => `${model}@${servedVersion}`);
  return {
    operations: (served.length > 0 ? served : job.operations).join(' → '),
    size: [input, output].flatMap((of) => (of?.width ? `${of.width}x${of.height ?? '?'}` : [])).join(' → '),
    requests: steps.reduce((sum, { requests }) => sum + requests, 0),
    ...{ queued: timingsMs?.queued, inference: timingsMs?.inference, 'total ms': timingsMs?.total },
    status: problem?.code ?? 'succeeded',
  };
}

/** A sentence for each job that did not succeed. */
export function failures(outcomes: readonly Outcome[], { pictures }: Burst): readonly string[] {
  return [
    ...outcomes.flatMap(({ jobId, problem }) => (problem ? `${jobId}: ${problem.code}: ${problem.message}` : [])),
    ...pictures.flatMap(({ problem }, i) => (problem === undefined ? [] : `picture ${i} of the burst: ${problem}`)),
  ];
}

export function inWords({ model, pictures, runs, meanBatch, wallMs }: Burst): string {
  const count = runs.reduce((sum, { runs }) => sum + runs, 0);
  return [
    `A burst of ${pictures.length} pictures of ${pictures.length} sizes took ${(wallMs / 1000).toFixed(1)} s. Triton ran ${model} ${count} times,`,
    `for ${meanBatch.toFixed(1)} pictures on average. A client that sends each picture as it is gets no batch: ${pictures.length} runs.`,
  ].join('\n');
}

/** Of a demo that is kept. */
export function howToGoOn({ borrowed, worker, page }: DemoStack): string {
  if (!page) throw new TypeError('expected a page');
  return `\
Left up: the stack${borrowed ? ' (as it was)' : ''}, a worker, process ${worker.pid}, and the live page, process ${page.pid}:

  ${page.url}
${Number(new URL(page.url).port) === defaultPagePort() ? '' : earlier}
  eval "$(npm run -s stack -- env)"
  imagen submit test/fixtures/photos/chelsea.jpg -p style_comic --wait -o comic.jpg
  curl http://127.0.0.1:${worker.port}/metrics

  npm run stack -- down       stops them all
  ${`kill ${worker.pid}`.padEnd(25)}   stops the worker alone
  ${`kill ${page.pid}`.padEnd(25)}   stops the page alone`;
}

const earlier = `
  This is the page of this run: port ${defaultPagePort()} was taken, perhaps by an earlier one's, which may still be up.
  Each page shows all jobs, but the stages of its own worker's alone.
`;
