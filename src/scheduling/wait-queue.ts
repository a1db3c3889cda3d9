import type { Priority } from '../domain/job.js';
import { waitUnless } from '../domain/signals.js';

/** How many interactive requests may be served in succession while others wait. */
const INTERACTIVE_IN_A_ROW = 3;

/**
 * A queue that serves interactive requests before the others, each kind in order of arrival. After three interactive ones in
 * succession it serves the one of the others that has waited longest, so that these are slow but never starve.
 * @template A what is known about a waiting request
 * @template G what it receives when it is served
 */
export interface WaitQueue<A, G> {
  readonly length: number;
  /** The request that has waited longest, whatever its priority. */
  readonly oldest: A | undefined;
  /** @throws the signal's reason */
  wait(about: A, signal: AbortSignal): Promise<G>;
  /**
   * Serves the first request in turn that can be served now.
   * @returns whether there was one
   */
  serve(can: (about: A) => boolean, give: (about: A) => G): boolean;
}

interface Waiting<A, G> {
  readonly about: A;
  readonly admit: (given: G) => void;
}

/** @param onChange called when a request starts to wait or stops waiting, since others may then be served */
export function createWaitQueue<A extends { readonly priority: Priority }, G>(onChange: () => void): WaitQueue<A, G> {
  const waiting: Waiting<A, G>[] = [];
  let inARow = 0;

  function inTurn(): Waiting<A, G>[] {
    const interactive = waiting.filter(({ about }) => about.priority === 'interactive');
    const others = waiting.filter(({ about }) => about.priority !== 'interactive');
    return inARow < INTERACTIVE_IN_A_ROW ? [...interactive, ...others] : [...others, ...interactive];
  }

  return {
    get length() {
      return waiting.length;
    },
    get oldest() {
      return waiting[0]?.about;
    },
    wait: (about, signal) =>
      waitUnless<G>(signal, ({ resolve }) => {
        const one = { about, admit: resolve };
        waiting.push(one);
        onChange();
        return () => {
          waiting.splice(waiting.indexOf(one), 1);
          onChange();
        };
      }),
    serve(can, give) {
      const next = inTurn().find(({ about }) => can(about));
      if (!next) return false;
      waiting.splice(waiting.indexOf(next), 1);
      const passedOver = waiting.some(({ about }) => about.priority !== 'interactive');
      inARow = next.about.priority === 'interactive' && passedOver ? inARow + 1 : 0;
      next.admit(give(next.about));
      return true;
    },
  };
}
