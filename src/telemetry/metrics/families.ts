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
    this.made.push({ name, type: 'counter', labels });
    return new Counter({
      name,
      help,
      labelNames: labels,
      registers: [this.registry],
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
    this.made.push({ name, type: 'histogram', labels });
    return new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers: [this.registry] });
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
    this.made.push({ name, type: 'gauge', labels });
    new Gauge({
      name,
      help,
      labelNames: labels,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [values, value] of read()) this.set(values, value);
      },
    });
  }
}
