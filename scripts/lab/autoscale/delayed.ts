/** What an autoscaler can know: samples of the world, seen late. */

export interface Source {
  readonly everySeconds: number;
  /** From the sample until it can be read; drawn for each sample from here to there. */
  readonly delaySeconds: readonly [number, number];
}

/** Pub/Sub's metrics in Cloud Monitoring: "sampled every 60 seconds", "not visible for up to 120 seconds", and read later. */
export const CLOUD_MONITORING: Source = { everySeconds: 60, delaySeconds: [120, 180] };

type Values = ReadonlyMap<string, number>;

export class Delayed {
  #samples: { readonly visibleAt: number; readonly values: Values }[] = [];
  #next = 0;

  constructor(
    private readonly source: Source,
    private readonly random: () => number,
  ) {}

  /** To be called at least once a second. */
  look(now: number, values: () => Values): void {
    if (now < this.#next) return;
    // Not from now on: a look that comes late must not shift all that follow.
    this.#next += this.source.everySeconds;
    const [least, most] = this.source.delaySeconds;
    this.#samples.push({ visibleAt: now + least + (most - least) * this.random(), values: values() });
  }

  read(now: number, name: string): number | undefined {
    const seen = this.#samples.findLastIndex(({ visibleAt }) => visibleAt <= now);
    if (seen > 0) this.#samples = this.#samples.slice(seen);
    return seen < 0 ? undefined : this.#samples[0]?.values.get(name);
  }
}
