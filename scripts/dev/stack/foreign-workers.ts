import { findMarked, inspect, type LiveProcess, pidsWith } from './processes.js';

/** `imagen worker`, by whatever name it was started: bin/imagen, dist/main.js, npx. */
const WORKER = /(?:main\.js|imagen) worker(?: |$)/;

/**
 * Workers that pull from this Pub/Sub emulator and that no stack has started. They outlive the stack, and take the jobs of the
 * next one.
 * @param emulator host and port
 */
export function foreignWorkers(emulator: string): LiveProcess[] {
  const ours = new Set(findMarked(() => true).map(({ pid }) => pid));
  const address = onThisMachine(emulator);
  return pidsWith('PUBSUB_EMULATOR_HOST', (value) => onThisMachine(value) === address)
    .filter((pid) => !ours.has(pid))
    .flatMap((pid) => inspect(pid) ?? [])
    .filter(({ command }) => WORKER.test(command));
}

/** The same address, however this machine is called in it. */
const onThisMachine = (address: string): string =>
  address.trim().replace(/^(?:localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\])(?=:\d+$)/i, '127.0.0.1');

export const warningOf = ({ pid, command }: LiveProcess): string =>
  `warning: process ${pid} (${command.slice(0, 100)}) is a worker that this stack has not started. It takes jobs from the parts at this address. To end it: kill ${pid}`;
