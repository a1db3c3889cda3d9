import type { Completion } from '../../../src/domain/completion.js';
import { defaultPagePort } from '../stack/ports.js';
import { tail } from '../stack/supervisor.js';
import type { House } from './house.js';
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

export function failures(outcomes: readonly Outcome[], workerLog: string): string {
  const failed = outcomes.flatMap(({ jobId, problem }) =>
    problem ? `${jobId}: ${problem.code}: ${problem.message}` : [],
  );
  return `${failed.join('\n')}\nthe end of the worker's log:\n${tail(workerLog)}`;
}

/** Of a house that is kept. */
export function howToGoOn({ borrowed, worker, page }: House): string {
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
