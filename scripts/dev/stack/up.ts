import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { parts as allParts } from '../parts/index.js';
import type { ModelRepository, PartId } from '../parts/part.js';
import { noProgress, type Progress } from '../progress.js';
import { demandFreePorts, demandPrerequisites } from './checks.js';
import { sweep } from './down.js';
import { stackEnv, type StackEnv } from './env.js';
import { guard } from './guard.js';
import { quietly, withLock } from './lock.js';
import { defaultStackDir } from './paths.js';
import { defaultPorts, freePorts, type Ports } from './ports.js';
import { markerEnv } from './processes.js';
import { portList, startParts } from './start.js';
import { readState } from './state.js';

export interface UpOptions {
  /** The instance's folder; `.imagen/stack` by default. */
  readonly dir?: string;
  /** `default`: the fixed ports, or what their variables say. `free`: any that nobody uses. */
  readonly ports?: 'default' | 'free' | Ports;
  /** All of them by default. */
  readonly parts?: readonly PartId[];
  /** The models for Triton to serve; all by default. */
  readonly models?: readonly string[];
  readonly modelRepositories?: readonly ModelRepository[];
  /** Triton's own options, beside those that it always has. */
  readonly tritonArgs?: readonly string[];
  /** Variables of its entry point, beside those that it always has. */
  readonly tritonEnv?: Readonly<Record<string, string>>;
  /** The stack outlives this process, and only `downStack` ends it. By default it dies with this process, however that dies. */
  readonly outlive?: boolean;
  readonly progress?: Progress;
  /** Aborting gives up: what was started ends before `upStack` rejects. */
  readonly signal?: AbortSignal;
}

export interface Stack {
  readonly dir: string;
  readonly ports: Ports;
  /** What a worker needs to know. */
  readonly env: StackEnv;
  /**
   * In the environment of a process that is started beside the parts (a worker, say) these make it one of the stack's
   * own: it ends with the stack, and the leak check sees it.
   */
  readonly marker: Readonly<Record<string, string>>;
  readonly started: readonly PartId[];
  readonly already: readonly PartId[];
  /** Ends what this `upStack` started, and nothing that was up before; `downStack` ends all of an instance. */
  down(): Promise<void>;
}

/** Installs what is missing, starts what is not up, and returns when all of it answers. Where it rejects, nothing that it started is left. */
export function upStack(options: UpOptions = {}): Promise<Stack> {
  const dir = resolve(options.dir ?? defaultStackDir);
  const progress = options.progress ?? noProgress;
  return withLock(
    dir,
    (holder) => progress.say(`waiting for ${holder}, which is at work in ${dir}`),
    () => upLocked(dir, options, progress),
  );
}

async function upLocked(dir: string, options: UpOptions, progress: Progress): Promise<Stack> {
  const before = readState(dir);
  const ports = before?.ports ?? (await choosePorts(options.ports ?? 'default'));
  const wanted = allParts.filter(({ id }) => options.parts?.includes(id) ?? true);
  const already = wanted.filter(({ id }) => before?.parts[id]);
  for (const part of already) progress.task(part.id).done(`already up, ${portList(part, ports)}`);
  const starting = wanted.filter((part) => {
    if (already.includes(part)) return false;
    const reason = part.skip?.();
    if (reason) progress.task(part.id).skip(reason);
    return !reason;
  });
  await demandPrerequisites(starting);
  await demandFreePorts(starting, ports);

  const run = randomUUID();
  const marker = markerEnv(dir, run);
  const watchdog = options.outlive && starting.length === 0 ? undefined : guard(dir, run);
  try {
    await startParts(starting, {
      ...{ dir, ports, run, marker, before, progress },
      models: options.models,
      modelRepositories: options.modelRepositories ?? [],
      tritonArgs: options.tritonArgs ?? [],
      tritonEnv: options.tritonEnv,
      signal: options.signal,
    });
  } catch (error) {
    await sweep(dir, run, watchdog?.pid);
    await watchdog?.release();
    throw error;
  }
  if (options.outlive) await watchdog?.release();
  return {
    ...{ dir, ports, env: stackEnv(ports), marker },
    started: starting.map(({ id }) => id),
    already: already.map(({ id }) => id),
    async down() {
      await withLock(dir, quietly, () => sweep(dir, run, watchdog?.pid));
      await watchdog?.release();
    },
  };
}

function choosePorts(ports: 'default' | 'free' | Ports): Ports | Promise<Ports> {
  if (ports === 'free') return freePorts();
  return ports === 'default' ? defaultPorts() : ports;
}
