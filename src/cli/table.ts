const GAP = '  ';

/** Columns as wide as their longest cell; the first flush left, the others flush right. @returns lines */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join(GAP);
  return [columns, ...rows].map(line).join('\n');
}
