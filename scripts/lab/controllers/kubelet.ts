/**
 * A stand-in for scheduler and kubelet: a pod waits for a node, starts, becomes ready, and after its deletion ends in its own
 * time. How long nodes and images take is what the simulator assumes; what starts and ends is real.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../autoscale/plant.js';
import type { Api, Pod } from './api.js';
import { toMs, toSeconds } from './clock.js';
import { Nodes } from './nodes.js';

export interface Running {
  /** Called when the pod becomes ready, before Kubernetes hears of it. */
  serve?(): Promise<void>;
  /** Ends it as a kubelet does: asks, and waits for its end. */
  stop(): Promise<void>;
}

export interface Workload {
  /** Value of the label app.kubernetes.io/name. */
  readonly name: string;
  readonly machine: Machine;
  start(pod: string): Promise<Running>;
}

interface Life {
  readonly workload: string;
  readonly pod: string;
  readonly createdAt: number;
  readonly deleted: AbortController;
  ready: boolean;
  goneAt: number;
}

export type Kubelet = ReturnType<typeof startKubelet>;

/** @param onError an error of this stand-in, after which the run means nothing */
export function startKubelet(api: Api, workloads: readonly Workload[], onError: (error: unknown) => void) {
  const stopping = new AbortController();
  const lives = new Map<string, Life>();
  const ends: Promise<void>[] = [];
  const nodes = new Map(workloads.map(({ name, machine }) => [name, new Nodes(name, machine)]));

  async function watch(): Promise<void> {
    for await (const { type, object } of api.watchPods(stopping.signal)) {
      if (type === 'ERROR' || type === 'BOOKMARK') throw new Error(`the watch of pods has ended: ${type}`);
      const life = lives.get(object.metadata.uid) ?? begin(object);
      if (object.metadata.deletionTimestamp !== undefined || type === 'DELETED') life?.deleted.abort();
      if (life && type === 'DELETED') life.goneAt = performance.now();
    }
  }

  function begin({ metadata: { uid, name, labels } }: Pod): Life | undefined {
    const workload = workloads.find((one) => one.name === labels['app.kubernetes.io/name']);
    if (!workload) return undefined;
    const life: Life = {
      ...{ workload: workload.name, pod: name, createdAt: performance.now(), deleted: new AbortController() },
      ...{ ready: false, goneAt: Infinity },
    };
    lives.set(uid, life);
    ends.push(live(life, workload).catch(onError));
    return life;
  }

  async function live(life: Life, workload: Workload): Promise<void> {
    const { pod } = life;
    const { signal } = life.deleted;
    const node = nodes.get(workload.name)?.take(pod, performance.now());
    try {
      // Deleted before it has a node, a pod is gone at once.
      if (!node || !(await reached(node.readyAt, signal)) || !(await api.bind(pod, node.name))) return;
      const readyAt = performance.now() + toMs(workload.machine.podSeconds);
      const running = await workload.start(pod);
      if (await reached(readyAt, signal)) {
        await running.serve?.();
        await api.setStatus(pod, statusOfReady());
        life.ready = true;
        if (!signal.aborted) await once(signal, 'abort');
      }
      life.ready = false;
      await running.stop();
      if (!stopping.signal.aborted) await api.remove(pod);
    } finally {
      nodes.get(workload.name)?.leave(pod, performance.now());
    }
  }

  const watching = watch().catch((error: unknown) => {
    if (!stopping.signal.aborted) onError(error);
  });
  const of = (workload: string) => [...lives.values()].filter((life) => life.workload === workload);
  return {
    /** Pods that are there, those included that are ending. */
    present: (workload: string) =>
      of(workload)
        .filter(({ goneAt }) => goneAt === Infinity)
        .map(({ pod }) => pod),
    ready: (workload: string) => of(workload).filter(({ ready }) => ready).length,
    /** Pods that are not ending, ready or not: what the autoscaler has asked for. */
    active: (workload: string) => of(workload).filter(({ deleted }) => !deleted.signal.aborted).length,
    /** From each pod's creation until it was gone, within that time of `performance.now()`, in seconds of the simulator. */
    podSeconds: (workload: string, from: number, to: number): number =>
      toSeconds(
        of(workload)
          .map(({ createdAt, goneAt }) => Math.max(0, Math.min(goneAt, to) - Math.max(createdAt, from)))
          .reduce((sum, ms) => sum + ms, 0),
      ),
    /** Ends all that runs. */
    async stop(): Promise<void> {
      stopping.abort();
      for (const { deleted } of lives.values()) deleted.abort();
      await Promise.all([...ends, watching]);
    },
  };
}

/** @returns false where the signal came first */
const reached = (at: number, signal: AbortSignal): Promise<boolean> =>
  sleep(Math.max(0, at - performance.now()), true, { signal }).catch(() => false);

function statusOfReady() {
  const now = new Date().toISOString();
  const conditions = ['Initialized', 'PodScheduled', 'ContainersReady', 'Ready'].map((type) => ({
    ...{ type, status: 'True', lastTransitionTime: now },
  }));
  return { phase: 'Running', startTime: now, conditions };
}
