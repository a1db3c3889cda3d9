import type { ModelServer, VersionStatistics } from '../domain/ports.js';
import { type Cost, DEFAULT_COST } from '../pipeline/cost.js';

/**
 * Learns what an execution of each version costs, `fixed + perPixel·pixels`, from Triton's own statistics and from the
 * pixels that this worker has sent.
 *
 * Triton counts executions and how long they took, but not pixels; this worker knows its own pixels, but not the
 * batches they ended up in. Between two looks at the statistics, though, `time = fixed·executions + perPixel·pixels`
 * must hold, and least squares over many such intervals tells the two apart. Other workers' pixels are taken to be like
 * ours. While all requests have one shape the two cannot be told apart, so the stated default of their ratio pulls
 * gently.
 */
export interface CostModel {
  /** The server, with the pixels of every answered request counted. */
  watch(server: ModelServer): ModelServer;
  /** Looks at the statistics of every version that was used since the last look. */
  look(server: ModelServer, signal: AbortSignal): Promise<void>;
  costOf(model: string, version: string): Cost;
}

/** What one look adds to is worth this much at the next: a changed machine is noticed within some ten looks. */
const FADE = 0.9;
/** Weight of the default ratio against one interval's worth of measurements. */
const PULL = 0.01;

interface Sums {
  ee: number;
  ep: number;
  pp: number;
  et: number;
  pt: number;
}

interface Known {
  sent: { requests: number; pixels: number };
  seen: Counted | undefined;
  sums: Sums;
}

interface Counted {
  readonly requests: number;
  readonly executions: number;
  readonly busyMs: number;
}

export function createCostModel(): CostModel {
  const known = new Map<string, Known>();
  const keyOf = (model: string, version: string) => `${model}/${version}`;

  function entry(model: string, version: string): Known {
    const key = keyOf(model, version);
    const found = known.get(key) ?? {
      sent: { requests: 0, pixels: 0 },
      seen: undefined,
      sums: { ee: 0, ep: 0, pp: 0, et: 0, pt: 0 },
    };
    known.set(key, found);
    return found;
  }

  function learn(of: Known, counted: Counted): void {
    const { seen, sent } = of;
    of.seen = counted;
    of.sent = { requests: 0, pixels: 0 };
    const executions = counted.executions - (seen?.executions ?? 0);
    const requests = counted.requests - (seen?.requests ?? 0);
    const busyMs = counted.busyMs - (seen?.busyMs ?? 0);
    // The first look has no beginning; after a reload the server counts from nothing again.
    if (!seen || executions <= 0 || requests <= 0 || busyMs <= 0 || sent.requests === 0) return;
    const pixels = (sent.pixels / sent.requests) * requests;
    // Relative errors, so that a busy interval does not drown all others.
    const weight = 1 / busyMs ** 2;
    for (const name of Object.keys(of.sums) as (keyof Sums)[]) of.sums[name] *= FADE;
    of.sums.ee += weight * executions ** 2;
    of.sums.ep += weight * executions * pixels;
    of.sums.pp += weight * pixels ** 2;
    of.sums.et += weight * executions * busyMs;
    of.sums.pt += weight * pixels * busyMs;
  }

  return {
    watch: (server) => ({
      contracts: () => server.contracts(),
      unready: () => server.unready(),
      refresh: (signal) => server.refresh(signal),
      statistics: (model, signal) => server.statistics(model, signal),
      async infer(request, signal) {
        const result = await server.infer(request, signal);
        const [height = 0, width = 0] = request.inputs[0]?.shape ?? [];
        const { sent } = entry(request.model, result.version);
        sent.requests++;
        sent.pixels += height * width;
        return result;
      },
    }),

    async look(server, signal) {
      const used = [...known].filter(([, { sent }]) => sent.requests > 0).map(([key]) => key.split('/')[0] ?? '');
      for (const model of new Set(used)) {
        for (const statistics of await server.statistics(model, signal)) {
          const of = known.get(keyOf(model, statistics.version));
          if (of && of.sent.requests > 0) learn(of, count(statistics));
        }
      }
    },

    costOf(model, version) {
      const sums = known.get(keyOf(model, version))?.sums;
      return sums && sums.ee > 0 ? solve(sums) : DEFAULT_COST;
    },
  };
}

function count({ requests, batches }: VersionStatistics): Counted {
  return {
    requests,
    executions: batches.reduce((sum, { executions }) => sum + executions, 0),
    busyMs: batches.reduce((sum, { executions, meanMs }) => sum + executions * meanMs, 0),
  };
}

/** Least squares for `t = fixed·e + perPixel·p`, pulled towards the default ratio, neither part below zero. */
function solve({ ee, ep, pp, et, pt }: Sums): Cost {
  const ratio = DEFAULT_COST.fixed / DEFAULT_COST.perPixel;
  const pull = PULL * ee;
  const a = ee + pull;
  const b = ep - pull * ratio;
  const c = pp + pull * ratio ** 2;
  const det = a * c - b * b;
  const fixed = (et * c - pt * b) / det;
  const perPixel = (a * pt - b * et) / det;
  if (fixed < 0) return { fixed: 0, perPixel: pt / pp };
  if (perPixel < 0) return { fixed: et / ee, perPixel: 0 };
  return { fixed, perPixel };
}
