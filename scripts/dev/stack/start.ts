import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Context, Part, Serving } from '../parts/part.js';
import type { Progress } from '../progress.js';
import { withLock } from './lock.js';
import { cacheDir } from './paths.js';
import type { Ports } from './ports.js';
import { bootId } from './processes.js';
import { writeState, type State } from './state.js';
import { runTool, startProcess, type Launch } from './supervisor.js';

export interface Start {
  readonly dir: string;
  readonly ports: Ports;
  readonly run: string;
  readonly marker: Readonly<Record<string, string>>;
  readonly before: State | undefined;
  readonly serving: Serving;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

/** All at once: each part starts as soon as it is installed, and the first that fails makes the others give up. */
export async function startParts(parts: readonly Part[], start: Start): Promise<void> {
  const { dir, ports, run, marker, progress } = start;
  const giveUp = new AbortController();
  const signal = AbortSignal.any([giveUp.signal, ...(start.signal ? [start.signal] : [])]);
  const failures: string[] = [];
  let state: State = { boot: bootId(), ports, parts: start.before?.parts ?? {} };

  const bringUp = (part: Part) => {
    const task = progress.task(part.id);
    const log = join(dir, 'logs', `${part.id}.log`);
    const launch: Launch = { marker, log, task, signal };
    const context = contextOf(part, start, launch);

    const attempt = async (work: () => Promise<void>): Promise<boolean> => {
      try {
        signal.throwIfAborted();
        await work();
        return true;
      } catch (error) {
        if (signal.aborted) {
          task.skip('given up');
        } else {
          task.fail('see below');
          failures.push(`${part.id} (${part.title}): ${error instanceof Error ? error.message : String(error)}`);
          giveUp.abort();
        }
        return false;
      }
    };
    const rise = async () => {
      task.step('starting');
      const begun = Date.now();
      await startProcess(await part.start(context), part.readyTimeoutMs, launch, (id) => {
        state = { ...state, parts: { ...state.parts, [part.id]: { ...id, run, log } } };
        writeState(dir, state);
      });
      task.done(`ready after ${((Date.now() - begun) / 1000).toFixed(1)} s, ${portList(part, ports)}`);
    };
    const installed = attempt(async () => part.install?.(context));
    return { installed, ready: installed.then((ok) => ok && attempt(rise)) };
  };

  mkdirSync(cacheDir, { recursive: true });
  const onWait = (holder: string) => progress.say(`waiting for ${holder}, which is installing`);
  const rising = await withLock(cacheDir, onWait, async () => {
    const all = parts.map(bringUp);
    await Promise.all(all.map(({ installed }) => installed));
    return all;
  });
  await Promise.all(rising.map(({ ready }) => ready));
  start.signal?.throwIfAborted();
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

export const portList = (part: Part, ports: Ports): string =>
  `port ${part.ports.map((name) => ports[name]).join(', ')}`;

function contextOf({ id }: Part, { dir, ports, serving }: Start, launch: Launch): Context {
  const log = join(dir, 'logs', `${id}-install.log`);
  rmSync(log, { force: true });
  return {
    ...{ ...serving, dir, ports, cache: cacheDir },
    step: (text) => launch.task.step(text),
    run: (command, args) => runTool(command, args, { ...launch, log }),
  };
}
