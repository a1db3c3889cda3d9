/** Runs what is in an image, as far as that goes without a container engine. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../dev/stack/paths.js';
import { inspect, type ProcessId } from '../../dev/stack/processes.js';
import { type Unpacked, imagesDir, type RunOptions } from './tools.js';

export interface ContainerOptions {
  /** These two and `user` in the place of the image's own; `0:0` is root. */
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Folders that are an empty tmpfs; none by default. */
  readonly writable?: readonly string[];
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

const KEPT = 20_000;
/** Where routes.json lies, which is seen, and not written to, at /mnt. */
const READABLE = join(root, 'scripts/dev/stack');
let count = 0;

/** The program of an image, as process 1 of its own, its files read-only, without capabilities (enter.sh). */
export class Container {
  private constructor(
    private readonly child: ChildProcess,
    readonly ended: Promise<Ended>,
  ) {}

  static async start(
    name: string,
    { config, folder }: Unpacked,
    { marker }: RunOptions,
    { entrypoint = config.Entrypoint ?? [], command = config.Cmd ?? [], env = {}, ...more }: ContainerOptions,
  ): Promise<Container> {
    const mountpoint = join(imagesDir, 'mountpoints', String(++count));
    await mkdir(mountpoint, { recursive: true });
    await mkdir(join(imagesDir, 'logs'), { recursive: true });
    const variables = [...(config.Env ?? []), ...Object.entries(env).map((pair) => pair.join('='))];
    const child = spawn(
      'unshare',
      [
        ...['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'],
        ...[join(root, 'scripts/release/images/enter.sh'), mountpoint, folder, more.user ?? config.User ?? '0:0'],
        ...[(more.writable ?? []).join(' '), READABLE, 'env', '-i', `--chdir=/${config.WorkingDir ?? ''}`],
        ...[...variables, ...entrypoint, ...command],
      ],
      { env: { PATH: process.env.PATH, ...marker }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const log = createWriteStream(join(imagesDir, 'logs', `${name}.log`));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        log.write(chunk);
        output = (output + chunk.toString()).slice(-KEPT);
      });
    }
    const ended = once(child, 'close').then(([code]) => {
      log.end();
      return { code: code as number | null, output };
    });
    return new Container(child, ended);
  }

  processes(): number[] {
    const below = (pid: number): number[] => childrenOf(pid).flatMap((child) => [child, ...below(child)]);
    return below(this.child.pid ?? 0);
  }

  /** Its process 1, as seen from outside; undefined before it has begun and after it has ended. */
  first(): ProcessId | undefined {
    const [pid] = childrenOf(this.child.pid ?? 0);
    return pid === undefined ? undefined : inspect(pid);
  }

  /** @returns how it ended by itself or, after the limit, by force */
  end(limitMs: number): Promise<Ended> {
    const timer = setTimeout(() => this.#signal('SIGKILL'), limitMs);
    return this.ended.finally(() => clearTimeout(timer));
  }

  stop(limitMs: number): Promise<Ended> {
    this.#signal('SIGTERM');
    return this.end(limitMs);
  }

  #signal(name: NodeJS.Signals): void {
    const first = this.first();
    if (first) process.kill(first.pid, name);
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
