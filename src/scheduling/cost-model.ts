import type { ModelServer, VersionStatistics } from '../domain/ports.js';
import { type Cost, DEFAULT_COST } from '../pipeline/cost.js';
import { withInfer } from './with-infer.js';

/**
 * Estimates the cost of one execution per version, `fixed + perPixel·pixels`, from Triton's statistics and from the pixels
 * that this worker has sent.
 *
 * Triton counts executions and their duration, but not pixels. This worker knows its own pixels, but not the batches that
 * Triton made of them. Between two reads of the statistics, `time = fixed·executions + perPixel·pixels` must hold, and least
 * squares over many such intervals separates the two terms, if the pixels are right: a few requests that Triton has counted
 * and this worker has not would resemble an expensive launch. So an interval ends when both have counted the same requests.
 * If other workers send requests too, that never happens. Then the model assumes that their pixels are like ours and gives
 * the interval less weight. While all requests have one shape, only the default ratio separates the two terms; it weighs as
 * much as a few intervals.
 */
export interface CostModel {
  /** Wraps the server to count the pixels of every answered request. */
  watch(server: ModelServer): ModelServer;
  /**
   * Reads the statistics of every version used since the last call. Call it every `POLL_MS`, and never concurrently. It
   * reads those of a well-known version less often.
   * @throws JobError `MODEL_UNAVAILABLE`
   */
  poll(server: ModelServer, signal: AbortSignal): Promise<void>;
  costOf(model: string, version: string): Cost;
  /**
   * The share of the instance's time that requests have had: of the launches of their batches, and for their pixels. Over all
   * requests of a version the shares add up to the time that Triton has measured, within some percent.
   * @returns milliseconds, or undefined before anything was measured
   */
  shareOf(
    model: string,
    version: string,
    work: { readonly requests: number; readonly pixels: number },
  ): number | undefined;
  /** The learned costs. */
  learned(): readonly (Cost & { readonly model: string; readonly version: string })[];
}

/**
 * Pause between two reads, in milliseconds. A burst of thumbnails lasts seconds, and its cost must be known before it ends.
 */
export const POLL_MS = 250;
/** Number of reads after which a version is well known. From then on it gets one of `ONE_OF` reads. */
const EAGER_POLLS = 24;
const ONE_OF = 8;
/** Weight that older intervals keep at each new one. The model notices a changed machine within a minute. */
const FADE = 0.97;
/** Weight of the default ratio of launch to pixel, in intervals. */
const PRIOR_INTERVALS = 5;
/** Largest factor by which a ratio may differ from the default. Ratios outside are clamped. */
const FARTHEST = 32;
/** Longest interval, in reads, while the two counts differ. */
const PATIENCE = 3;

/** Sums of the normal equations. */
interface Sums {
  /** All intervals so far. It does not fade, so the default matters less and less. */
  intervals: number;
  ee: number;
  ep: number;
  pp: number;
  et: number;
  pt: number;
  /** Executions and requests. Their quotient is the part of a launch that one request has had. */
  executions: number;
  requests: number;
}

interface Known {
  polls: number;
  sent: { requests: number; pixels: number };
  seen: Counted | undefined;
  /** Reads since the interval began. */
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
      polls: 0,
      sent: { requests: 0, pixels: 0 },
      seen: undefined,
      waited: 0,
      sums: { intervals: 0, ee: 0, ep: 0, pp: 0, et: 0, pt: 0, executions: 0, requests: 0 },
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
    // After a reload the server's counts start at zero again.
    if (!seen || executions <= 0 || requests <= 0 || busyMs <= 0 || sent.requests === 0) return;
    of.sums.executions = FADE * of.sums.executions + executions;
    of.sums.requests = FADE * of.sums.requests + requests;
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

    async poll(server, signal) {
      const due = new Map<string, Known>();
      for (const [model, { versions }] of server.contracts()) {
        for (const version of versions.keys()) {
          const of = entry(model, version);
          // At the first read of a version, its count so far starts the first interval.
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

    shareOf: (model, version, work) => share(known.get(keyOf(model, version))?.sums, work),

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
  of.polls++;
  return of.polls <= EAGER_POLLS || of.polls % ONE_OF === 0;
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
  // Use relative errors, so that a busy interval does not outweigh all others.
  const weight = confidence / busyMs ** 2;
  sums.intervals += confidence;
  sums.ee += weight * executions ** 2;
  sums.ep += weight * executions * pixels;
  sums.pp += weight * pixels ** 2;
  sums.et += weight * executions * busyMs;
  sums.pt += weight * pixels * busyMs;
}

function share(sums: Sums | undefined, { requests, pixels }: { requests: number; pixels: number }): number | undefined {
  if (!sums || sums.ee <= 0) return undefined;
  const { fixed, perPixel } = solve(sums);
  return (fixed * requests * sums.executions) / sums.requests + perPixel * pixels;
}

/**
 * Least squares for `t = fixed·e + perPixel·p`, with the default ratio as a further measurement. Only the ratio comes from
 * there, clamped. The scale is chosen so that the mean time is right.
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
  return { inMs: true, fixed: ratio * each, perPixel: each };
}
