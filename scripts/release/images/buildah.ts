import { join } from 'node:path';
import { imagesDir, run, type RunOptions } from './tools.js';

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
    // Docker's format, since the other has no health checks.
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
