/** Loaded into a worker: at SIGUSR2 it collects garbage and writes to the file KEPT what the process holds. */
import { getEventListeners } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** Signals that have ever had a listener, as long as they live. */
const signals = new Set();
const known = new WeakSet();
const add = globalThis.EventTarget.prototype.addEventListener;
globalThis.EventTarget.prototype.addEventListener = function remembering(...args) {
  if (this instanceof globalThis.AbortSignal && !known.has(this)) {
    known.add(this);
    signals.add(new WeakRef(this));
  }
  return add.apply(this, args);
};

function listeners() {
  let count = 0;
  for (const one of [...signals]) {
    const signal = one.deref();
    if (signal) count += getEventListeners(signal, 'abort').length;
    else signals.delete(one);
  }
  return count;
}

process.on('SIGUSR2', async () => {
  for (let i = 0; i < 3; i++) {
    collect();
    await sleep(100);
  }
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }); // returns unused pages, too
  await sleep(100);
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  const { heapTotal, heapUsed, external } = process.memoryUsage();
  const rss = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024;
  const files = readdirSync('/proc/self/fd').length;
  writeFileSync(
    process.env.KEPT,
    JSON.stringify({ rss, heapTotal, heapUsed, external, files, listeners: listeners(), resources }),
  );
});
