/** Programs that the images' test runs, and what there is of them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { localDir, which } from '../../dev/stack/paths.js';

/** Everything that `npm run test:images` makes. Deleting it is safe while that does not run. */
export const imagesDir = join(localDir, 'images');
export const logFile = join(imagesDir, 'log.txt');

export interface RunOptions {
  readonly signal: AbortSignal;
  /** Marks the process and its children as ours. */
  readonly marker: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const TAIL = 3_000;

/** Runs a program to its end. @returns what it printed to its output; everything goes to the log. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { signal, marker, cwd } = options;
  signal.throwIfAborted();
  const line = [command, ...args].join(' ');
  appendFileSync(logFile, `\n$ ${line}\n`);
  const child = spawn(command, args, {
    ...{ signal, killSignal: 'SIGTERM', env: { ...process.env, ...marker }, stdio: ['ignore', 'pipe', 'pipe'] },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let out = '';
  let all = '';
  const keep = (chunk: Buffer) => {
    appendFileSync(logFile, chunk);
    all = (all + chunk.toString()).slice(-TAIL);
  };
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    keep(chunk);
  });
  child.stderr.on('data', keep);
  const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
  if (code !== 0) throw new Error(`${line.slice(0, 200)}: ended by ${killedBy ?? `code ${code ?? 0}`}\n${all}`);
  return out;
}

/** What is missing, a line each. */
export function missingTools(): string[] {
  const missing: string[] = [];
  if (process.getuid?.() !== 0) missing.push('root: it mounts file systems');
  const programs = {
    buildah: 'Debian package buildah',
    debootstrap: 'Debian package debootstrap',
    unshare: 'Debian package util-linux',
    mount: 'Debian package mount',
    tar: 'Debian package tar',
    go: 'Go 1.24 or newer',
    promtool: 'Debian package prometheus',
  };
  for (const [program, where] of Object.entries(programs)) {
    if (!which(program)) missing.push(`${program}: ${where}`);
  }
  return missing;
}
