import type { Lane } from '../pipeline/transform.js';

/**
 * Shares each model's requests in flight among the jobs of this worker, one request a turn, so that a picture of a
 * thousand tiles delays a thumbnail by one tile and not by a thousand. Models do not wait for each other.
 */
export interface FairShare {
  /** The lane of one job; its tasks keep their order, and take turns with those of other jobs. */
  lane(job: object): Lane;
  /** Requests in flight now, by model. */
  inFlight(): ReadonlyMap<string, number>;
}

interface Waiting {
  readonly start: () => void;
}

interface Gate {
  inFlight: number;
  /** Jobs with waiting tasks, in the order of their turns. */
  readonly turns: Map<object, Waiting[]>;
}

/** @param limitOf requests that a model may have in flight, asked anew at every turn since a reload may change it */
export function createFairShare(limitOf: (model: string) => number): FairShare {
  const gates = new Map<string, Gate>();

  function gateOf(model: string): Gate {
    const gate = gates.get(model) ?? { inFlight: 0, turns: new Map<object, Waiting[]>() };
    gates.set(model, gate);
    return gate;
  }

  function startNext(model: string, gate: Gate): void {
    while (gate.inFlight < limitOf(model)) {
      const [turn] = gate.turns;
      if (!turn) return;
      const [job, waiting] = turn;
      gate.turns.delete(job);
      const next = waiting.shift();
      if (waiting.length > 0) gate.turns.set(job, waiting); // to the end of the row
      if (!next) continue;
      gate.inFlight++;
      next.start();
    }
  }

  function acquire(job: object, model: string, signal: AbortSignal): Promise<() => void> {
    const gate = gateOf(model);
    const release = () => {
      gate.inFlight--;
      startNext(model, gate);
    };
    return new Promise((resolve, reject) => {
      const queue = gate.turns.get(job) ?? [];
      const waiting: Waiting = {
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
    lane: (job) => async (model, task, signal) => {
      const release = await acquire(job, model, signal);
      try {
        return await task();
      } finally {
        release();
      }
    },
    inFlight: () => new Map([...gates].map(([model, gate]) => [model, gate.inFlight])),
  };
}
