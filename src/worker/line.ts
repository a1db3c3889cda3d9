import type { Priority } from '../domain/job.js';

/** How many interactive ones may be served one after another while others wait. */
const INTERACTIVE_IN_A_ROW = 3;

/**
 * Who waits for something: interactive ones before the others, each kind in the order of its arrival. After three
 * interactive ones in a row comes the one of the others that has waited longest, so that these are slow but never stand.
 */
export interface Line<T> {
  readonly length: number;
  /** The one that has waited longest, whatever its priority. */
  readonly oldest: T | undefined;
  push(one: T): void;
  /** Takes out, and gives, the first in turn that can be served now. */
  take(can: (one: T) => boolean): T | undefined;
  /** For who no longer waits. */
  remove(one: T): void;
}

export function createLine<T extends { readonly priority: Priority }>(): Line<T> {
  const waiting: T[] = [];
  let inARow = 0;

  function inTurn(): T[] {
    const interactive = waiting.filter(({ priority }) => priority === 'interactive');
    const others = waiting.filter(({ priority }) => priority !== 'interactive');
    return inARow < INTERACTIVE_IN_A_ROW ? [...interactive, ...others] : [...others, ...interactive];
  }

  const remove = (one: T) => {
    const at = waiting.indexOf(one);
    if (at >= 0) waiting.splice(at, 1);
  };
  return {
    get length() {
      return waiting.length;
    },
    get oldest() {
      return waiting[0];
    },
    push: (one) => void waiting.push(one),
    remove,
    take(can) {
      const next = inTurn().find(can);
      if (!next) return undefined;
      remove(next);
      const passedOver = waiting.some(({ priority }) => priority !== 'interactive');
      inARow = next.priority === 'interactive' && passedOver ? inARow + 1 : 0;
      return next;
    },
  };
}
