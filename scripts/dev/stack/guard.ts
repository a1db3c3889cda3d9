import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { scriptArgs } from './paths.js';
import { markerEnv } from './processes.js';

export interface Guard {
  readonly pid: number;
  release(): Promise<void>;
}

/** A watchdog over what `run` starts in `dir`, for as long as this process lives. It does not keep this process alive. */
export function guard(dir: string, run: string): Guard {
  const logs = join(dir, 'logs');
  mkdirSync(logs, { recursive: true });
  const log = openSync(join(logs, 'watchdog.log'), 'a');
  const child = spawn(process.execPath, [...scriptArgs('scripts/dev/stack/watchdog.ts'), dir, run], {
    detached: true,
    stdio: ['pipe', log, log],
    env: { ...process.env, ...markerEnv(dir, run) },
  });
  closeSync(log);
  const { stdin, pid } = child;
  if (pid === undefined || !stdin) throw new Error('the watchdog could not be started');
  const exited = once(child, 'exit');
  stdin.on('error', () => undefined); // it may have been stopped by a `down`
  child.unref();
  (stdin as unknown as Socket).unref();
  return {
    pid,
    async release() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.ref();
      stdin.end('release\n');
      await exited;
    },
  };
}
