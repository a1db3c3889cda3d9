/** Workers as processes of their own, for tests, benchmarks and fault runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { answers } from './parts/probe.js';
import { root } from './stack/paths.js';
import { freePort } from './stack/ports.js';
import { until } from './until.js';

export const cli = join(root, 'dist/main.js');

export type Worker = Awaited<ReturnType<typeof spawnWorker>>;

export interface WorkerStart {
  /** Modules that are loaded before the worker, beside it. */
  readonly preload?: readonly string[];
  /** Options of Node. */
  readonly nodeArgs?: readonly string[];
  /** For health and metrics; a free one by default. `PORT` of the environment is not used: several workers share that. */
  readonly port?: number;
  /** A file to which its log is appended. */
  readonly logFile?: string;
  /** Gets what it logs, as it comes. */
  readonly onLog?: (text: string) => void;
}

/** How long a worker may take until it is ready, in milliseconds. */
const READY_LIMIT_MS = 60_000;
/** How often to ask whether it is, in milliseconds. */
const ASK_MS = 25;
const LOG_KEPT = 10_000;

/**
 * Starts a worker and waits until it is ready.
 * @throws Error with the end of its log when it ends before, or needs longer than a minute
 */
export async function startWorker(env: NodeJS.ProcessEnv, how: WorkerStart = {}): Promise<Worker> {
  const worker = await spawnWorker(env, how);
  if (!(await worker.untilReady())) throw new Error(`the worker did not start\n${worker.lastLog()}`);
  return worker;
}

/** Returns as soon as the process exists. */
export async function spawnWorker(
  env: NodeJS.ProcessEnv,
  { preload = [], nodeArgs = [], port: wanted, logFile, onLog }: WorkerStart = {},
) {
  const port = wanted ?? (await freePort());
  const args = [...nodeArgs, ...preload.flatMap((module) => ['--import', module]), cli, 'worker'];
  const child = spawn(process.execPath, args, {
    env: { ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  const exit = ended.then(([code, signal]) => ({ code, signal }));
  const file = logFile === undefined ? undefined : createWriteStream(logFile, { flags: 'a' });
  let lastLog = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      const text = chunk.toString();
      lastLog = (lastLog + text).slice(-LOG_KEPT);
      onLog?.(text);
      file?.write(chunk);
    });
  }
  void exit.then(() => file?.end());

  /** All its metrics, in Prometheus' text format. @throws Error when it does not answer */
  const metrics = async (limitMs = 10_000): Promise<string> =>
    (await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(limitMs) })).text();
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    ...{ pid: child.pid ?? 0, port, exit, metrics },
    signal: (name: NodeJS.Signals): boolean => child.kill(name),
    /** The end of what it has logged. */
    lastLog: () => lastLog,
    /** Waits until it is ready, and kills it after the limit. @returns false if it has ended before */
    async untilReady(limitMs = READY_LIMIT_MS): Promise<boolean> {
      const settled = async () => hasEnded() || ((await answers(`http://127.0.0.1:${port}/readyz`)) && 'ready');
      const state = await until(settled, { everyMs: ASK_MS, limitMs }).catch(() => undefined);
      if (state === undefined) child.kill('SIGKILL');
      return state === 'ready';
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
