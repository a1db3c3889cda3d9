/**
 * Remembers what Triton has served to this worker, and what was asked for recently. A model that is missing from the
 * server's list counts as away, not as unknown, if it was served before, or if the server says so when asked by name.
 */
import type { ModelContract } from '../../domain/contract.js';

/** A model, or one version of it. */
export interface ModelName {
  readonly model: string;
  readonly version?: string;
}

/** Far more than any server serves. Names of versions that come and go must not fill the memory. */
const MOST_SERVED = 1_000;
/** Names come from jobs, and may be anything. */
const MOST_ASKED = 50;
/** A job that waits for a model asks every 250 ms. */
const ASKED_MS = 60_000;

export class Remembered {
  readonly #served = new Map<string, number>();
  readonly #asked = new Map<string, ModelName & { readonly at: number }>();
  readonly #keepMs: number;
  readonly #now: () => number;

  /**
   * @param keepMs how long a served name counts as away after the server stops serving it
   * @param now milliseconds on a monotonic clock
   */
  constructor(keepMs: number, now: () => number = () => performance.now()) {
    this.#keepMs = keepMs;
    this.#now = now;
  }

  served(contracts: ReadonlyMap<string, ModelContract>): void {
    for (const [model, { versions }] of contracts) {
      touch(this.#served, model, this.#now(), MOST_SERVED);
      for (const version of versions.keys()) touch(this.#served, `${model}/${version}`, this.#now(), MOST_SERVED);
    }
  }

  asked(name: ModelName): void {
    touch(this.#asked, keyOf(name), { ...name, at: this.#now() }, MOST_ASKED);
  }

  wasServed(name: ModelName): boolean {
    return this.#now() - (this.#served.get(keyOf(name)) ?? -Infinity) < this.#keepMs;
  }

  /**
   * Models that were served, and all names asked for recently. A version that is no longer served is included only if a job
   * asks for it, because most such versions were replaced by newer ones.
   */
  names(): ModelName[] {
    for (const [key, { at }] of this.#asked) if (this.#now() - at > ASKED_MS) this.#asked.delete(key);
    const models = [...this.#served.keys()].filter((key) => !key.includes('/') && this.wasServed({ model: key }));
    return [...models.map((model) => ({ model })), ...this.#asked.values()];
  }
}

/** The keys of `unready`. No model name contains a slash. */
export function keyOf({ model, version }: ModelName): string {
  return version === undefined ? model : `${model}/${version}`;
}

/** Moves the entry to the end and drops the oldest entries. */
function touch<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= most) break;
    map.delete(oldest);
  }
}
