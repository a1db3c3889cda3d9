/** The sizes of Triton's batches since the page began: differences of what the server has counted. */
import type { VersionStatistics } from '../../../../src/domain/ports.js';

interface Tally {
  /** By version and size, as the server had counted when it was last asked. */
  counted: Map<string, number>;
  readonly bySize: Map<number, number>;
  recent: { readonly at: number; readonly size: number; readonly runs: number }[];
}

export const RECENT_MS = 10_000;

export function createBatches() {
  const tallies = new Map<string, Tally>();

  return {
    /**
     * What the server says now. The first word on a model is where its counting begins; a count that has become smaller
     * is that of a model loaded anew.
     * @param at milliseconds of any clock
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

    /**
     * All models that the server has spoken of, by name: of each size of a batch how many runs, and how many just now.
     * `mean` is requests a run; absent where there was no run.
     */
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
