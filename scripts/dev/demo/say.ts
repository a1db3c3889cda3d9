import type { Completion } from '../../../src/domain/completion.js';
import { defaultPagePort } from '../stack/ports.js';
import { tail } from '../stack/supervisor.js';
import type { House } from './house.js';
import type { Outcome } from './run.js';

export function table(outcomes: readonly Outcome[]): string {
  const head = ['job', 'operations', 'size', 'requests', 'queued', 'inference', 'total ms', 'status'];
  const rows = outcomes.map(({ job, completion, problem }) => {
    const time = (key: keyof NonNullable<Completion['timingsMs']>) => round(completion?.timingsMs?.[key]);
    const requests = completion?.steps?.reduce((sum, step) => sum + step.requests, 0);
    return [
      job.name,
      made(job, completion),
      [completion?.input, completion?.output]
        .flatMap((of) => (of?.width ? `${of.width}x${of.height ?? '?'}` : []))
        .join(' → '),
      requests === undefined ? '' : String(requests),
      ...[time('queued'), time('inference'), time('total')],
      problem ? problem.code : 'succeeded',
    ];
  });
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const numbers = [3, 4, 5, 6];
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell[numbers.includes(column) ? 'padStart' : 'padEnd'](widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function failures(outcomes: readonly Outcome[], workerLog: string): string {
  const failed = outcomes.flatMap(({ jobId, problem }) =>
    problem ? `${jobId}: ${problem.code}: ${problem.message}` : [],
  );
  return `${failed.join('\n')}\nthe end of the worker's log:\n${tail(workerLog)}`;
}

export function howToGoOn({ borrowed, worker, page }: House): string {
  const pids = [worker, ...(page ? [page] : [])].map(({ pid }) => String(pid));
  const stack = `the stack${borrowed ? ' (as it was)' : ''}`;
  const kill = (pid: string, what: string) => `  ${`kill ${pid}`.padEnd(27)} stops the ${what} alone`;
  return [
    `Left up: ${stack}, a worker, process ${pids[0] ?? ''}, and the live page, process ${pids[1] ?? ''}:`,
    '',
    `  ${page?.url ?? ''}`,
    ...(page && Number(new URL(page.url).port) !== defaultPagePort() ? [earlier] : []),
    '',
    '  eval "$(npm run -s stack -- env)"',
    '  npx imagen submit test/fixtures/photos/chelsea.jpg -p style_comic --wait -o comic.jpg',
    `  curl http://127.0.0.1:${worker.port}/metrics`,
    '',
    '  npm run stack -- down       stops them all',
    ...pids.map((pid, index) => kill(pid, index === 0 ? 'worker' : 'page')),
  ].join('\n');
}

const earlier = `
  This is the page of this run: port ${defaultPagePort()} was taken, perhaps by an earlier one's, which may still be up.
  Each page shows all jobs, but the stages of its own worker's alone.`;

function made({ operations }: Outcome['job'], completion: Completion | undefined): string {
  const steps = completion?.steps ?? [];
  const served = steps.map(({ model, servedVersion }) => `${model}@${servedVersion}`);
  return (served.length > 0 ? served : operations).join(' → ');
}

const round = (ms: number | undefined): string => (ms === undefined ? '' : String(Math.round(ms)));
