/** One figure of a benchmark: always a ratio of two measurements of the same run. */
export interface Figure {
  readonly name: string;
  readonly ratio: number;
  readonly op: '>=' | '<=' | 'report';
  readonly goal: number | null;
  readonly pass: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
}

export function figure(
  name: string,
  ratio: number,
  op: '>=' | '<=',
  goal: number,
  detail: Readonly<Record<string, unknown>>,
): Figure {
  const rounded = round(ratio);
  return { name, ratio: rounded, op, goal, pass: op === '>=' ? rounded >= goal : rounded <= goal, detail };
}

export function reported(name: string, ratio: number, detail: Readonly<Record<string, unknown>>): Figure {
  return { name, ratio: round(ratio), op: 'report', goal: null, pass: true, detail };
}

export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
