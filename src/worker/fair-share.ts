import type { Capacity } from '../domain/contract.js';
import type { Lane } from '../pipeline/transform.js';

/**
 * Shares each model's requests in flight among the jobs of this worker, one request a turn, so that a picture of a
 * thousand tiles delays a thumbnail by a few tiles and not by a thousand. Models do not wait for each other.
 *
 * Triton's batcher takes its queue in order, and a request of another shape ends the batch. So requests of one shape
 * are sent in runs: whoever has one of the shape sent last goes first, until the run would fill a batch.
 */
export interface FairShare {
  /** The lane of one job; its tasks keep their order, and take turns with those of other jobs. */
  lane(job: object): Lane;
  /** Requests in flight now, by model. */
  inFlight(): ReadonlyMap<string, number>;
}

interface Waiting {
  readonly shape: string;
  readonly start: () => void;
}

interface Gate {
  inFlight: number;
  /** The shape sent last, and how many of it in a row. */
  run: { shape: string; length: number };
  /** Jobs with waiting tasks, in the order of their turns. */
  readonly turns: Map<object, Waiting[]>;
}

/** @param capacityOf a model; asked anew at every turn, since a reload may change it */
export function createFairShare(capacityOf: (model: string) => Capacity): FairShare {
  const gates = new Map<string, Gate>();

  function gateOf(model: string): Gate {
    const gate = gates.get(model) ?? {
      inFlight: 0,
      run: { shape: '', length: 0 },
      turns: new Map<object, Waiting[]>(),
    };
    gates.set(model, gate);
    return gate;
  }

  function startNext(model: string, gate: Gate): void {
    const capacity = capacityOf(model);
    while (gate.inFlight < capacity.inFlight) {
      const job = nextJob(gate, capacity.batch);
      if (!job) return;
      const waiting = gate.turns.get(job) ?? [];
      const next = waiting.shift();
      if (!next) return;
      gate.turns.delete(job);
      if (waiting.length > 0) gate.turns.set(job, waiting); // to the end of the row
      gate.run = { shape: next.shape, length: next.shape === gate.run.shape ? gate.run.length + 1 : 1 };
      gate.inFlight++;
      next.start();
    }
  }

  /** The first in the row that goes on with the run, while that does not fill a batch; else the first of all. */
  function nextJob({ turns, run }: Gate, batch: number): object | undefined {
    if (run.length % Math.max(1, batch) !== 0) {
      for (const [job, [first]] of turns) if (first?.shape === run.shape) return job;
    }
    const [job] = turns.keys();
    return job;
  }

  function acquire(job: object, model: string, shape: string, signal: AbortSignal): Promise<() => void> {
    const gate = gateOf(model);
    const release = () => {
      gate.inFlight--;
      startNext(model, gate);
    };
    return new Promise((resolve, reject) => {
      const queue = gate.turns.get(job) ?? [];
      const waiting: Waiting = {
        shape,
        start() {
          signal.removeEventListener('abort', leave);
          resolve(release);
        },
      };
      const leave = () => {
        queue.splice(queue.indexOf(waiting), 1);
        if (queue.length === 0 && gate.turns.get(job) === queue) gate.turns.delete(job);
        reject(signal.reason as Error);
      };
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      signal.addEventListener('abort', leave, { once: true });
      queue.push(waiting);
      gate.turns.set(job, queue);
      startNext(model, gate);
    });
  }

  return {
    lane: (job) => async (model, shape, task, signal) => {
      const release = await acquire(job, model, shape, signal);
      try {
        return await task();
      } finally {
        release();
      }
    },
    inFlight: () => new Map([...gates].map(([model, gate]) => [model, gate.inFlight])),
  };
}
