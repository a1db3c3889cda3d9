import type { Frame, Scan } from './frame.js';
import { damaged } from './markers.js';

/** Follows which bits of which coefficients the scans of a progressive JPEG bring (ITU-T T.81, G.1.1.1). */
export class Progression {
  /** For each component and coefficient, the lowest bit that came; -1 before the first scan. */
  readonly #bits: readonly number[][];

  constructor({ components }: Frame) {
    this.#bits = components.map(() => new Array<number>(64).fill(-1));
  }

  /** @throws JobError `INPUT_CORRUPT` for a scan that cannot follow the ones before */
  add({ components, first, last, high, low }: Scan): void {
    if (first > last || last > 63 || low > 13) throw damaged('a scan has wrong limits');
    for (const { index } of components) {
      const bits = this.#bits[index] ?? [];
      for (let k = first; k <= last; k++) {
        // A scan that comes twice, or refines what did not come before, belongs to another file.
        const before = bits[k] ?? -1;
        if (high === 0 ? before >= 0 : before !== high || low !== high - 1) {
          throw damaged('a scan does not follow the ones before');
        }
        bits[k] = low;
      }
    }
  }

  /** @throws JobError `INPUT_CORRUPT` unless every bit of every coefficient came */
  end(): void {
    if (!this.#bits.every((bits) => bits.every((low) => low === 0))) {
      throw damaged('it ends before all of its scans');
    }
  }
}
