/** Workers that take jobs from the same subscription: ours, and those that one would write instead (peers/). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { installVenv } from '../../dev/parts/python.js';
import { run } from '../../dev/run.js';
import { cacheDir, root } from '../../dev/stack/paths.js';
import { startWorker } from '../../dev/workers.js';
import type { Parts } from '../parts.js';

export const PEERS = join(root, 'scripts/lab/bench/peers');
/** Kernel ticks a second, the unit of `/proc/<pid>/stat`. */
const TICKS = 100;

/** A process that takes jobs from the subscription. */
export interface Contender {
  readonly name: string;
  /** Resolves when it pulls. */
  readonly start: (parts: Parts) => Promise<Running>;
}

export interface Running {
  readonly pid: number;
  readonly stop: () => Promise<unknown>;
}

export const imagen = (name: string, transport: string): Contender => ({
  name,
  async start({ env }) {
    const worker = await startWorker({ ...env, IMAGEN_TRITON_TRANSPORT: transport });
    const stop = () => {
      worker.signal('SIGTERM');
      return worker.exit;
    };
    return { pid: worker.pid, stop };
  },
});

export const peer = (
  name: string,
  command: string,
  script: string,
  more: Readonly<Record<string, string>> = {},
): Contender => ({
  name,
  async start({ env }) {
    const [subscription = ''] = env.IMAGEN_JOBS_SUBSCRIPTIONS.split(',');
    const child = spawn(command, [join(PEERS, script)], {
      env: { ...env, ...QUIET, SUBSCRIPTION: subscription, ...more },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    const ready = once(createInterface(child.stdout), 'line');
    const first = await Promise.race([ready, exit.then(() => undefined)]);
    if (!first) throw new Error(`${name} ended before it was ready`);
    const stop = () => {
      child.kill('SIGTERM');
      return exit;
    };
    return { pid: child.pid ?? 0, stop };
  },
});

/** What the peers' libraries would say about their own versions, and about Google Cloud, which is not there. */
const QUIET = { PYTHONWARNINGS: 'ignore', GRPC_VERBOSITY: 'NONE', METADATA_SERVER_DETECTION: 'none' };

/** A Python with what the peers need, installed once into the cache. */
export async function peersPython(step: (text: string) => void): Promise<string> {
  const [venv, requirements] = [join(cacheDir, 'peers'), join(PEERS, 'requirements.txt')];
  await installVenv(
    {
      step,
      run: async (command, args) => {
        await run(command, args);
      },
    },
    venv,
    {
      key: readFileSync(requirements, 'utf8'),
      essential: () => [],
      pip: { "the peers' packages": ['--requirement', requirements] },
    },
  );
  return join(venv, 'bin/python');
}

/** User and system time of a process, with all its threads, in milliseconds. */
export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user = 0, system = 0] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number);
  return ((user + system) / TICKS) * 1000;
}
