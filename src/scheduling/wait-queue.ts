import type { Priority } from '../domain/job.js';
import { waitUnless } from '../domain/signals.js';

/** How many interactive ones may be served one after another while others wait. */
const INTERACTIVE_IN_A_ROW = 3;

/**
 * Who waits for something: interactive ones before the others, each kind in the order of its arrival. After three
 * interactive ones in a row comes the one of the others that has waited longest, so that these are slow but never stand.
 * @template A what is known of one who waits
 * @template G what it is given
 */
export interface WaitQueue<A, G> {
  readonly length: number;
  /** The one that has waited longest, whatever its priority. */
  readonly oldest: A | undefined;
  /** @throws the signal's reason */
  wait(about: A, signal: AbortSignal): Promise<G>;
  /** Serves the first in turn that can be served now. @returns whether there was one */
  serve(can: (about: A) => boolean, give: (about: A) => G): boolean;
}

interface Waiting<A, G> {
  readonly about: A;
  readonly admit: (given: G) => void;
}

/** @param onChange called when somebody has begun to wait, or has given up: then others may be served */
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
