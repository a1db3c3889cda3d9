/** Runs what is in an image, as far as that goes without a container engine. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../dev/stack/paths.js';
import { inspect, type ProcessId } from '../../dev/stack/processes.js';
import type { Unpacked } from './buildah.js';
import { imagesDir, type RunOptions } from './tools.js';

export interface ContainerOptions {
  /** In the place of the image's own. */
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** In the place of the image's own: `0:0` for root. */
  readonly user?: string;
  /** Folders that are an empty tmpfs; none by default. */
  readonly writable?: readonly string[];
  /** A folder of this machine's to be seen, and not written to, at /mnt. */
  readonly readable?: string;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

const KEPT = 20_000;
let count = 0;

/**
 * The program of an image, as process 1 of its own, by the image's user, environment and folder, its files read-only,
 * without capabilities (enter.sh). What is not as in a container: it has the machine's network.
 */
export class Container {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #output = '';

  private constructor(child: ChildProcess, log: string) {
    this.#child = child;
    const file = createWriteStream(log);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        file.write(chunk);
        this.#output = (this.#output + chunk.toString()).slice(-KEPT);
      });
    }
    this.ended = once(child, 'close').then(([code, signal]) => {
      file.end();
      return { code: code as number | null, signal: signal as NodeJS.Signals | null, output: this.#output };
    });
  }

  /** @param name of its log */
  static async start(
    name: string,
    { config, folder }: Unpacked,
    { marker }: RunOptions,
    { entrypoint = config.Entrypoint ?? [], command, env = {}, ...more }: ContainerOptions = {},
  ): Promise<Container> {
    const mountpoint = join(imagesDir, 'mountpoints', String(++count));
    const log = join(imagesDir, 'logs', `${name}.log`);
    await mkdir(mountpoint, { recursive: true });
    await mkdir(join(imagesDir, 'logs'), { recursive: true });
    const variables = [...(config.Env ?? []), ...Object.entries(env).map((pair) => pair.join('='))];
    const inside = [
      'env',
      '-i',
      `--chdir=${config.WorkingDir === undefined || config.WorkingDir === '' ? '/' : config.WorkingDir}`,
      ...variables,
    ];
    const program = [...entrypoint, ...(command ?? config.Cmd ?? [])];
    const child = spawn(
      'unshare',
      [
        ...['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'],
        ...[join(root, 'scripts/release/images/enter.sh'), mountpoint, folder, more.user ?? config.User ?? '0:0'],
        ...[(more.writable ?? []).join(' '), more.readable ?? join(root, 'scripts/dev/stack'), ...inside, ...program],
      ],
      { env: { PATH: process.env.PATH, ...marker }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return new Container(child, log);
  }

  get output(): string {
    return this.#output;
  }

  /** Its process 1, as seen from outside; undefined before it has begun and after it has ended. */
  first(): ProcessId | undefined {
    const [pid] = childrenOf(this.#child.pid ?? 0);
    return pid === undefined ? undefined : inspect(pid);
  }

  /** All processes in it. */
  processes(): number[] {
    const below = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(below)];
    return childrenOf(this.#child.pid ?? 0).flatMap(below);
  }

  signal(name: NodeJS.Signals): void {
    const first = this.first();
    if (first) process.kill(first.pid, name);
  }

  /** @returns how it ended, by the signal or, where that does not help, by force */
  async stop(limitMs: number): Promise<Ended> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), limitMs);
    return this.ended.finally(() => clearTimeout(timer));
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
