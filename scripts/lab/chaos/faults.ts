import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultProxy } from '../faults/proxy.js';
import type { Parts } from '../parts.js';
import { controlModel, modelProcesses } from '../../dev/parts/triton.js';
import { signal } from '../../dev/stack/processes.js';
import type { Stack } from '../../dev/stack/up.js';
import { until } from '../../dev/until.js';
import type { Fleet } from './fleet.js';
import type { FaultKind, PlannedFault } from './plan.js';

const CONNECTIONS = ['pubsub', 'gcs', 'triton'] as const;
type Connection = (typeof CONNECTIONS)[number];

/** The workers' ways to the three services, each through a proxy that can do harm. */
export type Proxies = Readonly<Record<Connection, FaultProxy>>;

export async function openProxies({ env, stack }: Parts): Promise<Proxies> {
  const [pubsub, gcs, triton] = await Promise.all([
    FaultProxy.before(env.PUBSUB_EMULATOR_HOST),
    FaultProxy.before(`127.0.0.1:${stack.ports.gcs}`),
    FaultProxy.before(env.TRITON_URL),
  ]);
  return { pubsub, gcs, triton };
}

/** Where in what the server sends an answer is cut, at most: in the middle of a message, of a picture, of a tensor. */
const CUT_BYTES: Readonly<Record<Connection, number>> = { pubsub: 300, gcs: 6_000, triton: 5_000 };
const STALL_MS = { from: 2_000, to: 12_000 };
const UNLOADED_MS = 1_500;
const REFUSED_MS = 60_000;

/**
 * @param longestMs the longest stall or refusal. @param refusals while this file exists, the completions topic refuses
 */
export function createFaults(parts: Parts, proxies: Proxies, fleet: Fleet, longestMs: number, refusals: string) {
  const counts: Partial<Record<FaultKind, number>> = {};
  const count = (kind: FaultKind) => (counts[kind] = (counts[kind] ?? 0) + 1);
  const restarted: Stack[] = [];
  let stalledUntil = 0;
  let refusing = 0;
  // Runs everything that stops Triton or makes it load one after the other.
  let tritonFree: Promise<unknown> = Promise.resolve();
  const whenTritonIsFree = (work: () => Promise<void>) => {
    const mine = tritonFree.then(work);
    tritonFree = mine.catch(() => undefined); // the caller awaits `mine` and gets its error
    return mine;
  };

  async function restartTriton(dice: number): Promise<void> {
    restarted.push(await parts.restartTriton(dice < 0.5 ? 'SIGKILL' : 'SIGTERM'));
  }

  async function reload(dice: number): Promise<void> {
    const model = dice < 0.5 ? 'quick' : 'steady';
    await controlModel(parts.stack.ports, model, 'unload');
    await sleep(UNLOADED_MS);
    await controlModel(parts.stack.ports, model, 'load');
  }

  /**
   * Kills a model's process, as a segmentation fault or the out-of-memory killer would. The container's watchdog
   * restarts it.
   */
  async function killModel(dice: number): Promise<void> {
    // There is none while it is just being loaded.
    signal(await until(() => modelProcesses(parts.dir, dice < 0.5 ? 'quick' : 'steady')[0]), 'SIGKILL');
  }

  /** For a time, and in any case until a completion has been refused: while Triton is away, none may come. */
  async function refuseCompletions(): Promise<void> {
    const seen = () => (existsSync(`${refusals}.seen`) ? statSync(`${refusals}.seen`).size : 0);
    const before = seen();
    refusing++;
    writeFileSync(refusals, '');
    await sleep(Math.min(REFUSED_MS, longestMs));
    await until(() => seen() > before, { limitMs: REFUSED_MS, what: 'a completion was refused' });
    // In a long run, the next may have begun meanwhile.
    if (--refusing === 0) rmSync(refusals);
  }

  function harm(proxy: FaultProxy, connection: Connection, how: string, dice: number): void {
    if (how === 'reset') proxy.reset();
    else if (how === 'cut') proxy.cutNext(Math.ceil(dice * CUT_BYTES[connection]));
    else {
      const ms = Math.min(longestMs, STALL_MS.from + dice * (STALL_MS.to - STALL_MS.from));
      proxy.stall(ms);
      stalledUntil = Math.max(stalledUntil, performance.now() + ms);
    }
  }

  return {
    async inject({ kind, dice }: PlannedFault): Promise<void> {
      if (kind === 'worker.sigkill') return fleet.signal('SIGKILL', dice);
      if (kind === 'worker.sigterm') return fleet.signal('SIGTERM', dice);
      if (kind === 'triton.restart') await whenTritonIsFree(() => restartTriton(dice));
      else if (kind === 'model.reload') await whenTritonIsFree(() => reload(dice));
      else if (kind === 'model.killed') await whenTritonIsFree(() => killModel(dice));
      else if (kind === 'completions.refused') await refuseCompletions();
      else {
        const [connection, how] = kind.split('.') as [Connection, string];
        const proxy = proxies[connection];
        await until(() => proxy.open > 0); // there is nobody to harm while no worker is connected
        harm(proxy, connection, how, dice);
        if (how === 'cut') return; // counted by the proxy, when it has come to pass
      }
      count(kind);
    },
    /** What has come to pass by now. Those of workers are the fleet's to count. */
    counts: () => ({
      ...counts,
      ...Object.fromEntries(CONNECTIONS.map((name) => [`${name}.cut`, proxies[name].counts.cut])),
    }),
    stillMs: () => Math.max(0, stalledUntil - performance.now()),
    async close() {
      await tritonFree;
      for (const stack of restarted) await stack.down();
      for (const name of CONNECTIONS) proxies[name].close();
    },
  };
}
