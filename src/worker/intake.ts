import { GivenBack } from '../domain/errors.js';

/**
 * How many jobs are in work at once, and one at a time for each job id: of two deliveries of one job, the second waits
 * for the first and then finds its record. The client's flow control is no cap, so this is.
 */
export interface Intake {
  /**
   * Waits for its turn.
   * @returns what gives the place back; call it exactly once
   * @throws GivenBack when the intake closes before the turn has come
   */
  enter(jobId: string): Promise<() => void>;
  /** Lets nobody in any more and sends away whoever waits; who is inside stays. */
  close(): void;
  readonly active: number;
  readonly waiting: number;
}

interface Waiting {
  readonly jobId: string;
  readonly admit: (leave: () => void) => void;
  readonly turnAway: (reason: Error) => void;
}

export function createIntake(limit: number): Intake {
  const inside = new Set<string>();
  let waiting: Waiting[] = [];
  let open = true;

  function leave(jobId: string): void {
    inside.delete(jobId);
    admitNext();
  }

  function admitNext(): void {
    while (inside.size < limit) {
      const index = waiting.findIndex(({ jobId }) => !inside.has(jobId));
      const [next] = index < 0 ? [] : waiting.splice(index, 1);
      if (!next) return;
      inside.add(next.jobId);
      next.admit(() => leave(next.jobId));
    }
  }

  return {
    enter(jobId) {
      return new Promise((admit, turnAway) => {
        if (!open) {
          turnAway(closed());
          return;
        }
        waiting.push({ jobId, admit, turnAway });
        admitNext();
      });
    },
    close() {
      open = false;
      const sentAway = waiting;
      waiting = [];
      sentAway.forEach(({ turnAway }) => turnAway(closed()));
    },
    get active() {
      return inside.size;
    },
    get waiting() {
      return waiting.length;
    },
  };
}

function closed(): GivenBack {
  return new GivenBack('the worker takes no more jobs');
}
