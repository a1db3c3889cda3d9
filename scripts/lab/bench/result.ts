import type { Progress } from '../../dev/progress.js';

export interface Asked {
  readonly progress: Progress;
  /** How often to measure, where a figure is a median. */
  readonly rounds: number;
  /** Whether a figure of the group was asked for. @param name without the group's */
  readonly wanted: (name: string) => boolean;
}

export type Benchmark = (asked: Asked) => Promise<Figure[]>;

/** One figure of a benchmark: always a ratio of two measurements of the same run. */
export interface Figure {
  readonly name: string;
  readonly ratio: number;
  readonly op: '>=' | '<=' | 'report';
  readonly goal: number | null;
  readonly pass: boolean;
  readonly detail: Detail;
}

type Detail = Readonly<Record<string, unknown>>;

export const simulated = 'the models sleep instead of computing';

export function figure(name: string, ratio: number, op: '>=' | '<=', goal: number, detail: Detail): Figure {
  const rounded = round(ratio);
  return { name, ratio: rounded, op, goal, pass: op === '>=' ? rounded >= goal : rounded <= goal, detail };
}

export function reported(name: string, ratio: number, detail: Detail): Figure {
  return { name, ratio: round(ratio), op: 'report', goal: null, pass: true, detail };
}

/** The figures of those cases that are wanted, one after the other, each told as soon as it is known. */
export async function figuresFor<T extends { readonly name: string }>(
  cases: readonly T[],
  { progress, wanted }: Asked,
  run: (one: T) => Promise<Figure | readonly Figure[]>,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const one of cases.filter(({ name }) => wanted(name))) {
    const found = [await run(one)].flat();
    figures.push(...found);
    for (const { name, ratio, detail } of found) progress.say(`${name}: ${ratio} ${JSON.stringify(detail)}`);
  }
  return figures;
}

export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** The value that so large a share of them lies below, from 0 to 1; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
