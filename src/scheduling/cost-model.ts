import type { ModelServer, VersionStatistics } from '../domain/ports.js';
import { type Cost, DEFAULT_COST } from '../pipeline/cost.js';
import { withInfer } from './with-infer.js';

/**
 * Learns what an execution of each version costs, `fixed + perPixel·pixels`, from Triton's own statistics and from the
 * pixels that this worker has sent.
 *
 * Triton counts executions and how long they took, but not pixels; this worker knows its own pixels, but not the
 * batches they ended up in. Between two looks at the statistics, though, `time = fixed·executions + perPixel·pixels`
 * must hold, and least squares over many such intervals tells the two apart, if the pixels are right: a few requests
 * that are counted there and not here would look like a dear launch. So an interval ends where both have counted the
 * same requests. Where other workers send some, too, it never does; their pixels are then taken to be like ours, and the
 * interval counts for less. While all requests have one shape nothing tells the two apart but the stated default of
 * their ratio, which weighs as much as a few intervals.
 */
export interface CostModel {
  /** The server, with the pixels of every answered request counted. */
  watch(server: ModelServer): ModelServer;
  /**
   * Looks at the statistics of every version that was used since the last look; to be called every `LOOK_MS`, and never
   * twice at once. A version that is well known is looked at less often.
   * @throws JobError `MODEL_UNAVAILABLE`
   */
  look(server: ModelServer, signal: AbortSignal): Promise<void>;
  costOf(model: string, version: string): Cost;
  /** What has been learned, in milliseconds. */
  learned(): readonly (Cost & { readonly model: string; readonly version: string })[];
}

/** Between two looks: a burst of thumbnails is over in seconds, and what it costs is to be known by then. */
export const LOOK_MS = 250;
/** Looks at a version before it is well known, and the share of them that it gets from then on. */
const EAGER_LOOKS = 24;
const ONE_OF = 8;
/** What one look adds to is worth this much at the next: a changed machine is noticed within a minute. */
const FADE = 0.97;
/** The default ratio of launch to pixel weighs as much as this many intervals. */
const PRIOR_INTERVALS = 5;
/** No ratio is believed that lies further from the default than by this factor. */
const FARTHEST = 32;
/** Looks that an interval may go on for, until both sides have counted the same. */
const PATIENCE = 3;

/** Of normal equations. */
interface Sums {
  /** Intervals ever seen; it does not fade, so that the default matters less and less. */
  intervals: number;
  ee: number;
  ep: number;
  pp: number;
  et: number;
  pt: number;
}

interface Known {
  looks: number;
  sent: { requests: number; pixels: number };
  seen: Counted | undefined;
  /** Looks since the interval began. */
  waited: number;
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
      looks: 0,
      sent: { requests: 0, pixels: 0 },
      seen: undefined,
      waited: 0,
      sums: { intervals: 0, ee: 0, ep: 0, pp: 0, et: 0, pt: 0 },
    };
    known.set(key, found);
    return found;
  }

  function learn(of: Known, counted: Counted): void {
    const { seen, sent } = of;
    const executions = counted.executions - (seen?.executions ?? 0);
    const requests = counted.requests - (seen?.requests ?? 0);
    const busyMs = counted.busyMs - (seen?.busyMs ?? 0);
    if (seen && requests !== sent.requests && ++of.waited < PATIENCE) return;
    of.seen = counted;
    of.sent = { requests: 0, pixels: 0 };
    of.waited = 0;
    // After a reload the server counts from nothing again.
    if (!seen || executions <= 0 || requests <= 0 || busyMs <= 0 || sent.requests === 0) return;
    add(of.sums, executions, (sent.pixels / sent.requests) * requests, busyMs, {
      confidence: Math.min(requests, sent.requests) / Math.max(requests, sent.requests),
    });
  }

  return {
    watch: (server) =>
      withInfer(server, async (request, signal) => {
        const result = await server.infer(request, signal);
        const [height = 0, width = 0] = request.inputs[0]?.shape ?? [];
        const { sent } = entry(request.model, result.version);
        sent.requests++;
        sent.pixels += height * width;
        return result;
      }),

    async look(server, signal) {
      const due = new Map<string, Known>();
      for (const [model, { versions }] of server.contracts()) {
        for (const version of versions.keys()) {
          const of = entry(model, version);
          // Never looked at: what it has counted until now is where the first interval begins.
          if (!of.seen || (of.sent.requests > 0 && isDue(of))) due.set(keyOf(model, version), of);
        }
      }
      for (const model of new Set([...due.keys()].map((key) => key.slice(0, key.lastIndexOf('/'))))) {
        for (const statistics of await server.statistics(model, signal)) {
          const of = due.get(keyOf(model, statistics.version));
          if (of) learn(of, count(statistics));
        }
      }
    },

    costOf(model, version) {
      const sums = known.get(keyOf(model, version))?.sums;
      return sums && sums.ee > 0 ? solve(sums) : DEFAULT_COST;
    },

    learned: () =>
      [...known]
        .filter(([, { sums }]) => sums.ee > 0)
        .map(([key, { sums }]) => {
          const at = key.lastIndexOf('/');
          return { model: key.slice(0, at), version: key.slice(at + 1), ...solve(sums) };
        }),
  };
}

function isDue(of: Known): boolean {
  of.looks++;
  return of.looks <= EAGER_LOOKS || of.looks % ONE_OF === 0;
}

function count({ requests, batches }: VersionStatistics): Counted {
  return {
    requests,
    executions: batches.reduce((sum, { executions }) => sum + executions, 0),
    busyMs: batches.reduce((sum, { executions, meanMs }) => sum + executions * meanMs, 0),
  };
}

function add(sums: Sums, executions: number, pixels: number, busyMs: number, { confidence }: { confidence: number }) {
  for (const name of ['ee', 'ep', 'pp', 'et', 'pt'] as const) sums[name] *= FADE;
  // Relative errors, so that a busy interval does not drown all others.
  const weight = confidence / busyMs ** 2;
  sums.intervals += confidence;
  sums.ee += weight * executions ** 2;
  sums.ep += weight * executions * pixels;
  sums.pp += weight * pixels ** 2;
  sums.et += weight * executions * busyMs;
  sums.pt += weight * pixels * busyMs;
}

/**
 * Least squares for `t = fixed·e + perPixel·p`, with the default ratio as a further measurement. Only the ratio is taken
 * from there, and kept within bounds; the scale is such that the mean time comes out right.
 */
function solve({ intervals, ee, ep, pp, et, pt }: Sums): Cost {
  const usual = DEFAULT_COST.fixed / DEFAULT_COST.perPixel;
  const prior = (PRIOR_INTERVALS / intervals) * ee;
  const a = ee + prior;
  const b = ep - prior * usual;
  const c = pp + prior * usual ** 2;
  const fixed = Math.max(0, et * c - pt * b);
  const perPixel = Math.max(0, a * pt - b * et);
  const ratio = Math.min(usual * FARTHEST, Math.max(usual / FARTHEST, fixed / perPixel));
  const each = et / (ratio * ee + ep);
  return { fixed: ratio * each, perPixel: each };
}
