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
