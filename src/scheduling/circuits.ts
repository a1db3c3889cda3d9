import { JobError, type ModelNeed } from '../domain/errors.js';
import type { InferenceRequest, ModelServer } from '../domain/ports.js';
import { withInfer } from './with-infer.js';

/**
 * Tracks which versions of models cannot serve now, so that their jobs stand aside and the others go on. A circuit opens when
 * inferences of a version find it unavailable for a while with no success in between, or when the server has the model but
 * says that it cannot serve it. It closes at the first success.
 */
export interface Circuits {
  /** Wraps the server to report to the circuits how each inference ended. */
  watch(models: ModelServer): ModelServer;
  /** The first of these needs that cannot be served, with the reason. A need without a version is broken when
   * all versions of its model are. */
  broken(needs: readonly ModelNeed[]): BrokenModel | undefined;
  /** Like `broken`, but lets one job pass from time to time: only a request can find out that a version is back. */
  refuse(needs: readonly ModelNeed[]): BrokenModel | undefined;
  /** Whether `refuse` would let a job with this need pass now. */
  mayTry(need: ModelNeed): boolean;
  /** Versions that inferences have found unavailable, with the reason. */
  open(): readonly OpenCircuit[];
}

export interface BrokenModel {
  readonly need: ModelNeed;
  readonly reason: string;
}

export interface OpenCircuit {
  readonly model: string;
  readonly version: string;
  readonly reason: string;
}

export interface CircuitsOptions {
  /** The version that a job with this need gets now, if it can be known. */
  readonly versionFor?: (need: ModelNeed) => string | undefined;
  /** Milliseconds on a monotonic clock. */
  readonly now?: () => number;
}

interface Trouble {
  readonly model: string;
  readonly version: string;
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

export function createCircuits(
  catalogue: Pick<ModelServer, 'contracts' | 'unready'>,
  { versionFor = ({ version }) => version, now = () => performance.now() }: CircuitsOptions = {},
): Circuits {
  const troubles = new Map<string, Trouble>();

  function failed({ model, version }: InferenceRequest, error: unknown): void {
    // A full queue is not an outage. The remedy is to send fewer requests, which the sender's concurrency limit does.
    if (!(error instanceof JobError) || error.code !== 'MODEL_UNAVAILABLE') return;
    const before = troubles.get(keyOf(model, version));
    const known = before && now() - before.failedAt < FORGOTTEN_AFTER_MS ? before : undefined;
    const { since, reason } = known ?? { since: now(), reason: error.message };
    troubles.set(keyOf(model, version), { model, version, since, reason, triedAt: now(), failedAt: now() });
  }

  /** Why the server says that it cannot serve the model. */
  const outOfCatalogue = (name: string) =>
    catalogue.contracts().has(name) ? undefined : catalogue.unready().get(name);

  const isOpen = ({ since, failedAt }: Trouble) => failedAt - since >= OPENS_AFTER_MS;

  /** The open circuits that stop jobs with this need. */
  function openFor(need: ModelNeed): Trouble[] {
    const version = need.version ?? (need.key === undefined ? undefined : versionFor(need));
    const versions =
      version === undefined ? [...(catalogue.contracts().get(need.name)?.versions.keys() ?? [])] : [version];
    const found = versions.map((one) => troubles.get(keyOf(need.name, one)));
    const open = found.filter((one) => one !== undefined && isOpen(one)) as Trouble[];
    return open.length === versions.length ? open : [];
  }

  function reasonOf(need: ModelNeed): BrokenModel | undefined {
    const unserved = outOfCatalogue(need.name);
    if (unserved !== undefined) return { need: { kind: 'model', name: need.name }, reason: unserved };
    const [first, ...others] = openFor(need);
    if (!first) return undefined;
    const version = others.length > 0 ? {} : { version: first.version };
    return { need: { kind: 'model', name: need.name, ...version }, reason: first.reason };
  }

  function mayTry(need: ModelNeed): boolean {
    if (outOfCatalogue(need.name) !== undefined) return false; // the server will say when it is back
    return openFor(need).every(({ triedAt }) => now() - triedAt >= TRIAL_EVERY_MS);
  }

  function first(needs: readonly ModelNeed[], counts: (need: ModelNeed) => boolean): BrokenModel | undefined {
    return needs
      .filter(counts)
      .map(reasonOf)
      .find((found) => found !== undefined);
  }

  return {
    watch: (models) =>
      withInfer(models, async (request, signal) => {
        try {
          const result = await models.infer(request, signal);
          troubles.delete(keyOf(request.model, request.version));
          return result;
        } catch (error) {
          failed(request, error);
          throw error;
        }
      }),
    broken: (needs) => first(needs, () => true),
    mayTry,
    open: () => [...troubles.values()].filter(isOpen),
    refuse(needs) {
      const refused = first(needs, (need) => !mayTry(need));
      if (refused) return refused;
      for (const trouble of needs.flatMap(openFor)) {
        troubles.set(keyOf(trouble.model, trouble.version), { ...trouble, triedAt: now() });
      }
      return undefined;
    },
  };
}

const keyOf = (model: string, version: string) => `${model}/${version}`;
