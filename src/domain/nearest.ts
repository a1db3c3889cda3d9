/** Most typing errors in a name, as a share of its length. One is always permitted. */
const MOST_ERRORS = 0.2;

/** The known name that is most like the given one. @returns undefined if none is like it */
export function nearest(given: string, known: readonly string[]): string | undefined {
  const [best] = known.map((name) => ({ name, errors: editDistance(given, name) })).sort((a, b) => a.errors - b.errors);
  return best && best.errors <= Math.max(1, Math.floor(given.length * MOST_ERRORS)) ? best.name : undefined;
}

/** The least number of letters to insert, remove, replace, or swap with the next one. */
function editDistance(a: string, b: string): number {
  let above: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const twoAbove = above;
    above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const areSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = areSwapped ? (twoAbove[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min(replaced, swapped, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
  }
  return row.at(-1) ?? 0;
}
