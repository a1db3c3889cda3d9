import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What Prometheus calls a family: all series of one name. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
}

/** Makes families, and knows which it has made. */
export class Families {
  readonly registry = new Registry();
  readonly made: Family[] = [];

  /**
   * @param expected series that are there from nothing, asked for whenever somebody looks: Prometheus sees no increase in
   * a series that begins with what it counts
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

  /** @param buckets upper bounds in seconds, ascending */
  histogram<L extends string>(
    name: string,
    help: string,
    labels: readonly L[],
    buckets: readonly number[],
  ): Histogram<L> {
    this.made.push({ name, type: 'histogram', labels });
    return new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers: [this.registry] });
  }

  /** One number, read whenever somebody asks. */
  gauge(name: string, help: string, read: () => number): void {
    this.gauges(name, help, [], () => [[{}, read()]]);
  }

  /** Several, told apart by labels. What is not read any more is gone. */
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
