/** The sizes of Triton's batches since the page began: differences of what the server has counted. */
import type { VersionStatistics } from '../../../../src/domain/ports.js';

interface Tally {
  counted: Map<string, number>;
  readonly bySize: Map<number, number>;
  recent: { readonly at: number; readonly size: number; readonly runs: number }[];
}

export const RECENT_MS = 10_000;

export function createBatches() {
  const tallies = new Map<string, Tally>();

  return {
    /**
     * What the server says now, in any clock's milliseconds. Its first word on a model begins the counting; a count that
     * has become smaller is that of a model loaded anew.
     */
    add(model: string, versions: readonly VersionStatistics[], at: number): void {
      const counted = new Map<string, number>();
      for (const { version, batches } of versions) {
        for (const { batchSize, executions } of batches) counted.set(`${version}/${batchSize}`, executions);
      }
      const tally = tallies.get(model) ?? { counted, bySize: new Map<number, number>(), recent: [] };
      tallies.set(model, tally);
      tally.recent = tally.recent.filter((run) => run.at > at - RECENT_MS);
      for (const [key, count] of counted) {
        const before = tally.counted.get(key) ?? 0;
        const runs = count < before ? count : count - before;
        if (runs === 0) continue;
        const size = Number(key.slice(key.indexOf('/') + 1));
        tally.bySize.set(size, (tally.bySize.get(size) ?? 0) + runs);
        tally.recent.push({ at, size, runs });
      }
      tally.counted = counted;
    },

    /** All models by name: how many runs of each size of a batch, in all and just now; `mean` is requests a run. */
    view() {
      return [...tallies]
        .map(([model, { bySize, recent }]) => {
          const sizes = [...bySize]
            .sort(([a], [b]) => a - b)
            .map(([size, runs]) => ({ size, runs, recent: sum(recent.filter((run) => run.size === size)) }));
          const requests = sizes.reduce((total, { size, runs }) => total + size * runs, 0);
          const mean = sizes.length > 0 ? { mean: requests / sum(sizes) } : {};
          return { model, ...mean, sizes };
        })
        .sort((a, b) => a.model.localeCompare(b.model));
    },
  };
}

const sum = (of: readonly { readonly runs: number }[]): number => of.reduce((total, { runs }) => total + runs, 0);
