import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, fstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessSpec } from '../parts/part.js';
import type { Task } from '../progress.js';
import { inspect, type ProcessId } from './processes.js';

export interface Launch {
  readonly marker: Readonly<Record<string, string>>;
  readonly log: string;
  readonly task: Task;
  readonly signal: AbortSignal;
}

/** Runs a program to its end, its output added to the log. */
export async function runTool(command: string, args: readonly string[], launch: Launch): Promise<void> {
  const { child, exit } = launchProcess({ command, args }, launch, 'a');
  const stop = () => child.kill('SIGTERM');
  launch.signal.addEventListener('abort', stop);
  try {
    for (;;) {
      const ended = await Promise.race([exit, sleep(250)]);
      launch.signal.throwIfAborted();
      if (ended === 'exited with code 0') return;
      if (ended) throw new Error(`${command} ${args.slice(0, 3).join(' ')} … ${ended}\n${tail(launch.log)}`);
      launch.task.detail(lastLine(launch.log));
    }
  } finally {
    launch.signal.removeEventListener('abort', stop);
  }
}

/** Starts a process, and returns when it answers. Where this rejects it may still be alive: the caller sweeps. */
export async function startProcess(
  spec: ProcessSpec,
  readyTimeoutMs: number,
  launch: Launch,
  onSpawn: (id: ProcessId) => void,
): Promise<ProcessId> {
  const { child, exit } = launchProcess(spec, launch, 'w');
  const live = child.pid === undefined ? undefined : inspect(child.pid);
  const id = live && { pid: live.pid, startTime: live.startTime };
  if (id) onSpawn(id);
  const deadline = Date.now() + readyTimeoutMs;
  let ended: string | undefined;
  void exit.then((how) => (ended = how));
  for (;;) {
    const ready = await spec.ready();
    launch.signal.throwIfAborted();
    if (ended) throw new Error(`${ended} before it was ready\n${tail(launch.log)}`);
    if (ready && id) {
      child.unref();
      return id;
    }
    if (Date.now() > deadline) throw new Error(`not ready after ${readyTimeoutMs / 1000} s\n${tail(launch.log)}`);
    launch.task.detail(lastLine(launch.log));
    await sleep(50);
  }
}

/** In a session of its own, so that a Ctrl-C at our terminal is ours to handle; output straight to a file, so that it outlives us. */
function launchProcess(
  { command, args, env }: Pick<ProcessSpec, 'command' | 'args' | 'env'>,
  { marker, log }: Launch,
  mode: 'a' | 'w',
): { readonly child: ChildProcess; readonly exit: Promise<string> } {
  mkdirSync(dirname(log), { recursive: true });
  const fd = openSync(log, mode);
  const how = { detached: true, env: { ...process.env, ...env, ...marker } };
  const child = spawn(command, args, { ...how, stdio: ['ignore', fd, fd] });
  closeSync(fd);
  const exit = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) =>
      resolve(signal ? `was ended by ${signal}` : `exited with code ${code ?? 'unknown'}`),
    );
  });
  return { child, exit };
}

/** The last lines of a log, for an error message. For a log that does not exist it gives only the name. */
export function tail(log: string, lines = 15): string {
  const text = end(log, 8_192).trimEnd().split('\n').slice(-lines);
  return [`  ${log}:`, ...text.map((line) => `  | ${line}`)].join('\n');
}

const lastLine = (log: string): string => end(log, 1_024).trimEnd().split('\n').at(-1) ?? '';

function end(file: string, bytes: number): string {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const buffer = Buffer.alloc(bytes);
    const start = Math.max(0, fstatSync(fd).size - bytes);
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, bytes, start));
  } catch {
    return '';
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
