import { JobError } from '../domain/errors.js';
import type { ModelServer } from '../domain/ports.js';
import { withInfer } from './with-infer.js';

/**
 * Tracks which models cannot serve now, so that their jobs stand aside and the others go on. A circuit opens when inferences
 * of a model find it unavailable for a while with no success in between, or when the server has the model but says that it
 * cannot serve it. It closes at the first success.
 */
export interface Circuits {
  /** Wraps the server to report to the circuits how each inference ended. */
  watch(models: ModelServer): ModelServer;
  /** The first of these models that cannot serve, with the reason. */
  broken(names: readonly string[]): { readonly model: string; readonly reason: string } | undefined;
  /** Like `broken`, but lets one job pass from time to time: only a request can find out that a model is back. */
  refuse(names: readonly string[]): { readonly model: string; readonly reason: string } | undefined;
  /** Whether `refuse` would let a job of this model pass now. */
  mayTry(name: string): boolean;
  /** Models that inferences have found unavailable, with the reason. */
  open(): ReadonlyMap<string, string>;
}

interface Trouble {
  readonly since: number;
  /** Message of the first failure. */
  readonly reason: string;
  /** When an inference last failed, or a trial was last permitted. */
  readonly triedAt: number;
  readonly failedAt: number;
}

/** Failures must span at least this time. One lost connection is not an outage. */
const OPENS_AFTER_MS = 1_000;
/** Two failures further apart than this are unrelated: nothing used the model in between. */
const FORGOTTEN_AFTER_MS = 600_000;
/** Pause between two trials, unless the last trial is still retrying in place. */
const TRIAL_EVERY_MS = 1_500;

/** @param now milliseconds on a monotonic clock */
export function createCircuits(
  catalogue: Pick<ModelServer, 'contracts' | 'unready'>,
  now: () => number = () => performance.now(),
): Circuits {
  const troubles = new Map<string, Trouble>();

  function failed(model: string, error: unknown): void {
    // A full queue is not an outage. The remedy is to send fewer requests, which the sender's concurrency limit does.
    if (!(error instanceof JobError) || error.code !== 'MODEL_UNAVAILABLE') return;
    const before = troubles.get(model);
    const known = before && now() - before.failedAt < FORGOTTEN_AFTER_MS ? before : undefined;
    const { since, reason } = known ?? { since: now(), reason: error.message };
    troubles.set(model, { since, reason, triedAt: now(), failedAt: now() });
  }

  /** Why the server says that it cannot serve the model. */
  const outOfCatalogue = (name: string) =>
    catalogue.contracts().has(name) ? undefined : catalogue.unready().get(name);

  const isOpen = ({ since, failedAt }: Trouble) => failedAt - since >= OPENS_AFTER_MS;

  function reasonOf(name: string): string | undefined {
    const trouble = troubles.get(name);
    return outOfCatalogue(name) ?? (trouble && isOpen(trouble) ? trouble.reason : undefined);
  }

  function mayTry(name: string): boolean {
    if (outOfCatalogue(name) !== undefined) return false; // the server will say when it is back
    return now() - (troubles.get(name)?.triedAt ?? -Infinity) >= TRIAL_EVERY_MS;
  }

  function first(names: readonly string[], counts: (name: string) => boolean) {
    for (const model of names) {
      const reason = reasonOf(model);
      if (reason !== undefined && counts(model)) return { model, reason };
    }
    return undefined;
  }

  return {
    watch: (models) =>
      withInfer(models, async (request, signal) => {
        try {
          const result = await models.infer(request, signal);
          troubles.delete(request.model);
          return result;
        } catch (error) {
          failed(request.model, error);
          throw error;
        }
      }),
    broken: (names) => first(names, () => true),
    mayTry,
    open: () => new Map([...troubles].filter(([, one]) => isOpen(one)).map(([name, { reason }]) => [name, reason])),
    refuse(names) {
      const refused = first(names, (name) => !mayTry(name));
      if (refused) return refused;
      for (const name of names) {
        const trouble = troubles.get(name);
        if (trouble && reasonOf(name) !== undefined) troubles.set(name, { ...trouble, triedAt: now() });
      }
      return undefined;
    },
  };
}
