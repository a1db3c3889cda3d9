/**
 * Starts everything that a job needs: the parts, the topics and buckets, and one worker. With `keep`, also the live
 * page.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PartId } from '../parts/part.js';
import { answers } from '../parts/probe.js';
import type { Progress } from '../progress.js';
import { leftovers } from '../stack/down.js';
import { guard } from '../stack/guard.js';
import { defaultStackDir, localDir, root, scriptArgs, ownModels } from '../stack/paths.js';
import { defaultPagePort, freePort, isFree } from '../stack/ports.js';
import { inspect, isAlive, markerOfRun, stopAll, type ProcessId } from '../stack/processes.js';
import { readState } from '../stack/state.js';
import { runTool, startProcess, type Launch } from '../stack/supervisor.js';
import { upStack, type Stack } from '../stack/up.js';
import { until } from '../until.js';
import { cli } from '../workers.js';

interface DemoStackOptions {
  readonly keep: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly logs: string;
}

export interface DemoStack {
  readonly env: Readonly<Record<string, string | undefined>> & Stack['env'];
  readonly borrowed: boolean;
  readonly worker: Worker;
  /** The live page's process; only in a demo that is kept. */
  readonly page?: Page | undefined;
  close(): Promise<void>;
  leave(): Promise<void>;
}

interface Worker extends ProcessId {
  readonly port: number;
  readonly log: string;
}

interface Page extends ProcessId {
  readonly url: string;
}

const needed: readonly PartId[] = ['pubsub', 'gcs', 'triton'];
const tellSteps = join(root, 'scripts/dev/demo/tell-steps.js');
const readyMs = 60_000;
const drainMs = 30_000;
/** Drain time after an interruption, in milliseconds: nobody waits for the jobs in work. */
const hurriedMs = 3_000;

/** If it rejects, it has ended everything that it started. */
export async function openDemoStack({ keep, progress, signal, logs }: DemoStackOptions): Promise<DemoStack> {
  await removeRemains();
  const up = readState(defaultStackDir);
  const borrowed = needed.every((id) => up?.parts[id]);
  const own = !borrowed && !keep;
  const dir = own ? join(localDir, `demo-${process.pid}`) : defaultStackDir;
  const clearAway = async () => {
    if (!own) return;
    await rename(join(dir, 'logs'), join(logs, 'logs'));
    await rm(dir, { recursive: true, force: true });
  };
  const options = { dir, ports: own ? 'free' : 'default', parts: needed, outlive: keep, progress, signal } as const;
  // With `keep`, the stack is the one that `stack up` starts, with the developer's models.
  const stack = await upStack({ ...options, modelRepositories: keep ? [ownModels()] : [] }).catch(
    async (error: unknown) => {
      await clearAway().catch(() => undefined); // it may not even have begun to log
      throw error;
    },
  );
  // If this process is killed, everything that it started ends. Without `keep`, `upStack` ensures that; with it, this
  // watchdog does until `leave`.
  const watchdog = keep ? guard(dir, stack.marker[markerOfRun] ?? '') : undefined;

  const alive: ProcessId[] = [];
  const close = async () => {
    const left = () => alive.filter(isAlive).flatMap(({ pid }) => inspect(pid) ?? []);
    await stopAll(left, signal.aborted ? hurriedMs : drainMs);
    if (!borrowed) await stack.down();
    await watchdog?.release();
    await clearAway();
  };
  const launch = (name: string) => ({
    ...{ marker: stack.marker, log: join(logs, 'setup.log'), signal },
    task: progress.task(name),
  });
  const working = launch('worker');
  const showing = keep ? launch('page') : undefined;
  const onSpawn = (id: ProcessId) => void alive.push(id);
  try {
    const port = await freeOr(stack.ports.worker);
    await prepare(stack, port, working);
    // The page starts before the worker whose steps it shows.
    const page = showing && (await startPage(stack, port, showing, onSpawn));
    const worker = await startWorker(stack, { port, keep, page }, working, onSpawn);
    const leave = async () => watchdog?.release();
    return { env: { ...process.env, ...stack.env }, borrowed, worker, page, close, leave };
  } catch (error) {
    for (const { task } of [working, ...(showing ? [showing] : [])]) {
      if (signal.aborted) task.skip('given up');
      else task.fail('see below');
    }
    await close();
    throw error;
  }
}

export async function untilGone(worker: ProcessId, signal: AbortSignal): Promise<never> {
  await until(() => !isAlive(worker), { everyMs: 200, signal });
  throw new Error('the worker has ended before its jobs');
}

async function prepare(stack: Stack, port: number, launch: Launch): Promise<void> {
  if (isStale()) {
    launch.task.step('building');
    await runTool(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'src')], launch);
  }
  launch.task.step('making topics, subscriptions and buckets');
  const marker = { ...stack.env, PORT: String(port), ...launch.marker };
  await runTool(process.execPath, [cli, 'setup'], { ...launch, marker });
}

async function startWorker(
  stack: Stack,
  { port, keep, page }: { readonly port: number; readonly keep: boolean; readonly page: Page | undefined },
  launch: Launch,
  onSpawn: (id: ProcessId) => void,
): Promise<Worker> {
  // A worker that stays logs where the next demo does not clear away, and beside an earlier one that has stayed.
  const log = keep ? join(stack.dir, 'logs', `worker-${port}.log`) : join(dirname(launch.log), 'worker.log');
  const steps = page ? { STEPS_PORT: new URL(page.url).port } : {};
  const args = [...(page ? ['--import', tellSteps] : []), cli, 'worker'];
  const env = { ...stack.env, ...steps, PORT: String(port) };
  const id = await startProgram(args, env, `http://127.0.0.1:${port}/readyz`, { ...launch, log }, onSpawn);
  launch.task.done(`pulling jobs, port ${port}`);
  return { ...id, port, log };
}

async function startPage(stack: Stack, workerPort: number, launch: Launch, onSpawn: (id: ProcessId) => void) {
  const port = await freeOr(defaultPagePort());
  const url = `http://127.0.0.1:${port}/`;
  const log = join(stack.dir, 'logs', `page-${port}.log`);
  const env = { PAGE_PORT: String(port), WORKER_METRICS: `http://127.0.0.1:${workerPort}/metrics` };
  const args = scriptArgs('scripts/dev/demo/live.ts');
  const id = await startProgram(args, { ...stack.env, ...env }, url, { ...launch, log }, onSpawn);
  launch.task.done(url);
  return { ...id, url };
}

async function startProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  url: string,
  launch: Launch,
  onSpawn: (id: ProcessId) => void,
): Promise<ProcessId> {
  launch.task.step('starting');
  const spec = { command: process.execPath, args, env, ready: () => answers(url) };
  return startProcess(spec, readyMs, launch, onSpawn);
}

/** The usual one, or any free one where an earlier demo's process has stayed. */
const freeOr = async (usual: number): Promise<number> => ((await isFree(usual)) ? usual : freePort());

function isStale(): boolean {
  if (!existsSync(cli)) return true;
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  const newest = Math.max(...sources.map((name) => statSync(join(root, 'src', name)).mtimeMs));
  return newest > statSync(cli).mtimeMs;
}

async function removeRemains(): Promise<void> {
  for (const name of existsSync(localDir) ? readdirSync(localDir) : []) {
    const dir = join(localDir, name);
    const pid = Number(/^demo-(\d+)$/.exec(name)?.[1]);
    if (pid > 0 && !inspect(pid) && leftovers(dir).length === 0) await rm(dir, { recursive: true, force: true });
  }
}
