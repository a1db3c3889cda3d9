import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** A Prometheus metric family: all series with the same name. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
}

/** Creates families and lists those it has created. */
export class Families {
  readonly registry = new Registry();
  readonly made: Family[] = [];

  /**
   * @param expected series that exist with the value 0, read at every scrape; Prometheus cannot see the first increase of a
   *   series that starts above 0
   */
  counter<L extends string>(
    name: string,
    help: string,
    labels: readonly L[] = [],
    expected: () => Iterable<Readonly<Record<L, string>>> = () => [],
  ): Counter<L> {
    return new Counter({
      ...this.#add('counter', name, help, labels),
      collect() {
        for (const values of expected()) this.inc(values, 0);
      },
    });
  }

  /** @param buckets upper bounds, ascending; in seconds unless the family's name says another unit */
  histogram<L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
    buckets: readonly number[],
  ): Histogram<L> {
    return new Histogram({ ...this.#add('histogram', name, help, labels), buckets: [...buckets] });
  }

  /** One number, read at every scrape. */
  gauge(name: string, help: string, read: () => number): void {
    this.gauges(name, help, [], () => [[{}, read()]]);
  }

  /** Several numbers with labels, read at every scrape. Series that are missing from a read disappear. */
  gauges<L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
    read: () => Iterable<readonly [Readonly<Record<L, string>>, number]>,
  ): void {
    new Gauge({
      ...this.#add('gauge', name, help, labels),
      collect() {
        this.reset();
        for (const [values, value] of read()) this.set(values, value);
      },
    });
  }

  /** Lists a family. @returns the options that all kinds share */
  #add<L extends string>(type: Family['type'], name: string, help: string, labels: readonly L[]) {
    this.made.push({ name, type, labels });
    return { name, help, labelNames: labels, registers: [this.registry] };
  }
}
