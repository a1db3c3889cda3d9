import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { localDir, root, which } from '../../dev/stack/paths.js';
import { tail } from '../../dev/stack/supervisor.js';

/** Everything that `npm run test:images` makes. Deleting it is safe while that does not run. */
export const imagesDir = join(localDir, 'images');
export const logFile = join(imagesDir, 'log.txt');

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly marker: Readonly<Record<string, string>>;
}

/** Runs a program to its end. @returns what it printed to its output; everything goes to the log. */
export async function run(command: string, args: readonly string[], { signal, marker }: RunOptions): Promise<string> {
  signal.throwIfAborted();
  const line = [command, ...args].join(' ');
  const log = openSync(logFile, 'a');
  writeSync(log, `\n$ ${line}\n`);
  const env = { ...process.env, ...marker };
  const child = spawn(command, args, { signal, env, cwd: root, stdio: ['ignore', 'pipe', log] });
  let out = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    writeSync(log, chunk);
  });
  const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
  closeSync(log);
  if (code !== 0)
    throw new Error(`${line.slice(0, 200)}: ended by ${killedBy ?? `code ${code ?? 0}`}\n${tail(logFile)}`);
  return out;
}

const PROGRAMS = {
  buildah: 'Debian package buildah',
  debootstrap: 'Debian package debootstrap',
  unshare: 'Debian package util-linux',
  mount: 'Debian package mount',
  tar: 'Debian package tar',
  go: 'Go 1.24 or newer',
  promtool: 'Debian package prometheus',
};

/** What is missing, a line each. */
export function missingTools(): string[] {
  const missing = Object.entries(PROGRAMS).filter(([program]) => !which(program));
  return [
    ...(process.getuid?.() === 0 ? [] : ['root: it mounts file systems']),
    ...missing.map(([program, where]) => `${program}: ${where}`),
  ];
}

/** An image whose files lie in a folder, and what it says about itself, in Docker's words. */
export interface Unpacked {
  readonly folder: string;
  readonly config: {
    readonly User?: string;
    readonly Env?: readonly string[];
    readonly Entrypoint?: readonly string[];
    readonly Cmd?: readonly string[];
    readonly WorkingDir?: string;
    readonly ExposedPorts?: Readonly<Record<string, unknown>>;
    readonly Labels?: Readonly<Record<string, string>>;
    readonly Healthcheck?: { readonly Test?: readonly string[] };
  };
}

export interface Build {
  readonly file: string;
  readonly tag: string;
  readonly context: string;
  readonly args?: Readonly<Record<string, string>>;
}

/**
 * Buildah with a storage of its own. The `vfs` driver needs nothing of the kernel; `chroot` runs the steps for real.
 */
export class Buildah {
  constructor(private readonly options: RunOptions) {}

  #run(...args: string[]): Promise<string> {
    const storage = ['--root', join(imagesDir, 'storage'), '--runroot', join(imagesDir, 'run')];
    return run('buildah', [...storage, '--storage-driver', 'vfs', ...args], this.options);
  }

  sweep(): Promise<unknown> {
    return this.#run('rm', '--all');
  }

  async has(tag: string): Promise<boolean> {
    const images = JSON.parse(await this.#run('images', '--json')) as { readonly names?: readonly string[] }[];
    return images.some(({ names }) => names?.includes(tag));
  }

  async build({ file, tag, context, args = {} }: Build): Promise<void> {
    const given = Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
    // The OCI image format has no health checks, so the image gets Docker's format.
    const how = ['--isolation', 'chroot', '--format', 'docker', '--pull-never', '--no-cache'];
    await this.#run('build', ...how, ...given, '--file', file, '--tag', tag, context);
    await this.#run('rmi', '--prune');
  }

  async unpack(tag: string): Promise<Unpacked> {
    const inspected = JSON.parse(await this.#run('inspect', '--type', 'image', tag)) as {
      readonly Docker: Pick<Unpacked, 'config'>;
    };
    const container = (await this.#run('from', '--pull-never', tag)).trim();
    return { ...inspected.Docker, folder: (await this.#run('mount', container)).trim() };
  }
}
