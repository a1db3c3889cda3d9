import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { parts as allParts } from '../parts/index.js';
import type { Part, PartId, Serving } from '../parts/part.js';
import { noProgress, type Progress } from '../progress.js';
import { sweep } from './down.js';
import { stackEnv, type StackEnv } from './env.js';
import { guard } from './guard.js';
import { quietly, withLock } from './lock.js';
import { defaultStackDir } from './paths.js';
import { defaultPorts, freePorts, isFree, type Ports, portVariable } from './ports.js';
import { listenerOn, markerEnv } from './processes.js';
import { portList, startParts } from './start.js';
import { readState } from './state.js';

export interface UpOptions extends Serving {
  /** The instance's folder; `.imagen/stack` by default. */
  readonly dir?: string;
  /** `default`: the fixed ports, or what their variables say. `free`: any that nobody uses. */
  readonly ports?: 'default' | 'free' | Ports;
  readonly parts?: readonly PartId[];
  /** The stack outlives this process, and only `downStack` ends it. By default it dies with this process, however that dies. */
  readonly outlive?: boolean;
  readonly progress?: Progress;
  /** Aborting gives up: what was started ends before `upStack` rejects. */
  readonly signal?: AbortSignal;
}

export interface Stack {
  readonly dir: string;
  readonly ports: Ports;
  readonly env: StackEnv;
  /** In the environment of a process these make it one of the stack's own: it ends with it, and the leak check sees it. */
  readonly marker: Readonly<Record<string, string>>;
  readonly started: readonly PartId[];
  readonly already: readonly PartId[];
  /** Ends what this `upStack` started, and nothing that was up before; `downStack` ends all of an instance. */
  down(): Promise<void>;
}

/** Installs what is missing, starts what is not up, and returns when all of it answers. Where it rejects, nothing that it started is left. */
export function upStack(options: UpOptions = {}): Promise<Stack> {
  const { progress = noProgress } = options;
  const dir = resolve(options.dir ?? defaultStackDir);
  const onWait = (holder: string) => progress.say(`waiting for ${holder}, which is at work in ${dir}`);
  return withLock(dir, onWait, () => upLocked(dir, options, progress));
}

async function upLocked(dir: string, options: UpOptions, progress: Progress): Promise<Stack> {
  const { outlive, signal, ports: chosen = 'default' } = options;
  const before = readState(dir);
  const fresh = () => (chosen === 'free' ? freePorts() : chosen === 'default' ? defaultPorts() : chosen);
  const ports = before?.ports ?? (await fresh());
  const wanted = allParts.filter(({ id }) => options.parts?.includes(id) ?? true);
  const already = wanted.filter(({ id }) => before?.parts[id]);
  for (const part of already) progress.task(part.id).done(`already up, ${portList(part, ports)}`);
  const starting = wanted.filter((part) => {
    if (already.includes(part)) return false;
    const reason = part.skip?.();
    if (reason) progress.task(part.id).skip(reason);
    return !reason;
  });
  await demandPrerequisites(starting, options);
  await demandFreePorts(starting, ports);

  const run = randomUUID();
  const marker = markerEnv(dir, run);
  const watchdog = outlive && starting.length === 0 ? undefined : guard(dir, run);
  try {
    await startParts(starting, { dir, ports, run, marker, before, progress, signal, serving: options });
  } catch (error) {
    await sweep(dir, run, watchdog?.pid);
    await watchdog?.release();
    throw error;
  }
  if (outlive) await watchdog?.release();
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

async function demandPrerequisites(parts: readonly Part[], serving: Serving): Promise<void> {
  if (parts.length === 0) return;
  const missing = (await Promise.all(parts.map(async (part) => (await part.prerequisites?.(serving)) ?? []))).flat();
  const here = `${process.platform} on ${process.arch}`;
  if (here !== 'linux on x64') {
    missing.unshift({ what: `Linux on x86-64 (this is ${here})`, install: 'the local parts exist for no other' });
  }
  if (missing.length === 0) return;
  const lines = new Set(missing.map(({ what, install }) => `  - ${what}\n      ${install}`));
  const hint = 'scripts/install-debian-packages.sh installs what Debian has.';
  throw new Error(['The local parts need what only root can install:', ...lines, hint].join('\n'));
}

async function demandFreePorts(parts: readonly Part[], ports: Ports): Promise<void> {
  const taken: string[] = [];
  for (const { id, name } of parts.flatMap((part) => part.ports.map((name) => ({ id: part.id, name })))) {
    if (await isFree(ports[name])) continue;
    const holder = listenerOn(ports[name]);
    const who = holder ? `process ${holder.pid} (${holder.command.slice(0, 80)})` : 'a process of another user';
    taken.push(`port ${ports[name]} of ${id} is taken by ${who}; ${portVariable(name)} names another port`);
  }
  if (taken.length > 0) throw new Error(taken.join('\n'));
}
