import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Context, ModelRepository, Part } from '../parts/part.js';
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
  readonly models: readonly string[] | undefined;
  readonly modelRepositories: readonly ModelRepository[];
  readonly tritonArgs: readonly string[];
  readonly tritonEnv: Readonly<Record<string, string>> | undefined;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

/** All at once: each part starts as soon as it is installed, and the first that fails makes the others give up. */
export async function startParts(parts: readonly Part[], start: Start): Promise<void> {
  const giveUp = new AbortController();
  const signal = start.signal ? AbortSignal.any([start.signal, giveUp.signal]) : giveUp.signal;
  const failures: string[] = [];
  let state: State = { boot: bootId(), ports: start.ports, parts: start.before?.parts ?? {} };

  const bringUp = (part: Part) => {
    const task = start.progress.task(part.id);
    const log = join(start.dir, 'logs', `${part.id}.log`);
    const launch: Launch = { marker: start.marker, log, task, signal };
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

    const installed = attempt(() => part.install(context));
    const ready = installed.then(async (ok) => {
      if (!ok) return;
      await attempt(async () => {
        task.step('starting');
        const begun = Date.now();
        await startProcess(await part.start(context), part.readyTimeoutMs, launch, (id) => {
          state = { ...state, parts: { ...state.parts, [part.id]: { ...id, run: start.run, log } } };
          writeState(start.dir, state);
        });
        task.done(`ready after ${((Date.now() - begun) / 1000).toFixed(1)} s, ${portList(part, start.ports)}`);
      });
    });
    return { installed, ready };
  };

  mkdirSync(cacheDir, { recursive: true });
  const rising = await withLock(
    cacheDir,
    (holder) => start.progress.say(`waiting for ${holder}, which is installing`),
    async () => {
      const all = parts.map(bringUp);
      await Promise.all(all.map(({ installed }) => installed));
      return all;
    },
  );
  await Promise.all(rising.map(({ ready }) => ready));
  start.signal?.throwIfAborted();
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

export const portList = (part: Part, ports: Ports): string =>
  `port ${part.ports.map((name) => ports[name]).join(', ')}`;

function contextOf(
  part: Part,
  { dir, ports, models, modelRepositories, tritonArgs, tritonEnv }: Start,
  launch: Launch,
): Context {
  const log = join(dir, 'logs', `${part.id}-install.log`);
  rmSync(log, { force: true });
  return {
    dir,
    cache: cacheDir,
    ports,
    models,
    modelRepositories,
    tritonArgs,
    tritonEnv,
    step: (text) => launch.task.step(text),
    run: (command, args) => runTool(command, args, { ...launch, log }),
  };
}
