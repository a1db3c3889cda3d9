import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { root } from './stack/paths.js';
import { until } from './until.js';

export const cli = join(root, 'dist/main.js');

export type Worker = Awaited<ReturnType<typeof startWorker>>;

export interface WorkerStart {
  /** Modules that are loaded before the worker, beside it. */
  readonly preload?: readonly string[];
  /** Options of Node. */
  readonly nodeArgs?: readonly string[];
  /** A file that gets what it logs; otherwise that is lost. */
  readonly logFile?: string;
}

const START_LIMIT_MS = 60_000;
const LOG_KEPT = 10_000;

/** Returns when it pulls jobs. @throws Error with the end of its log when it does not come to that */
export async function startWorker(env: NodeJS.ProcessEnv, { preload = [], nodeArgs = [], logFile }: WorkerStart = {}) {
  const args = [...nodeArgs, ...preload.flatMap((module) => ['--import', module]), cli, 'worker'];
  const child = spawn(process.execPath, args, {
    env: { ...env, PORT: '0', LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  const exit = ended.then(([code, signal]) => ({ code, signal }));
  const file = logFile === undefined ? undefined : createWriteStream(logFile, { flags: 'a' });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-LOG_KEPT);
      file?.write(chunk);
    });
  }
  void exit.then(() => file?.end());
  const pulls = () => log.includes('"pulling jobs"');
  const settled = () => pulls() || child.exitCode !== null || child.signalCode !== null;
  await until(settled, { limitMs: START_LIMIT_MS }).catch(() => child.kill('SIGKILL'));
  if (!pulls()) throw new Error(`the worker did not start\n${log}`);
  const port = Number(/"port":(\d+)/.exec(log)?.[1]);
  return {
    pid: child.pid ?? 0,
    exit,
    signal: (name: NodeJS.Signals): boolean => child.kill(name),
    /** All its metrics, in Prometheus' text format. @throws Error when it does not answer */
    async metrics(limitMs = 10_000): Promise<string> {
      return (await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(limitMs) })).text();
    },
  };
}

/** The sum of the lines of that name with all of those labels, out of the text format; NaN where there is none. */
export function metricIn(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  const isOf = (line: string) => line.startsWith(`${name}{`) || line.startsWith(`${name} `);
  const lines = text.split('\n').filter((line) => isOf(line) && wanted.every((label) => line.includes(label)));
  const values = lines.map((line) => Number(line.slice(line.lastIndexOf(' '))));
  return values.length === 0 ? NaN : values.reduce((sum, value) => sum + value);
}
