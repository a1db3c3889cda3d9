import { type BucketAccess, JobError, type Need } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import type { ObjectRef } from '../domain/uri.js';

/**
 * Which buckets cannot be read or written now, so that jobs that need one stand aside before anything is computed for
 * them. A call that fails only gives rise to a check of its folder, and the check decides: one object that nobody may read
 * says nothing about its neighbours. What cannot be used is checked again and again, without a job, because a job would be
 * computed before it finds out whether its result can be stored.
 */
export interface Buckets {
  /** The same store. Its failed calls say which bucket they needed, and have it checked. */
  watch(store: ObjectStore): ObjectStore;
  /** Finds out whether objects beside this one can be read or created; `trouble` then has the answer. */
  check(place: ObjectRef, access: BucketAccess): Promise<void>;
  /** Why a bucket cannot be used. */
  trouble(bucket: string, access: BucketAccess): string | undefined;
  /** When it was last used with success, by `Date.now()`. */
  usedAt(bucket: string, access: BucketAccess): number | undefined;
  /** All that cannot be used. */
  open(): readonly BucketTrouble[];
  /** Ends the checks. */
  close(): void;
}

export interface BucketTrouble {
  readonly bucket: string;
  readonly access: BucketAccess;
  readonly reason: string;
}

interface State {
  readonly bucket: string;
  readonly access: BucketAccess;
  usedAt?: number;
  /** What the last check found. */
  reason?: string;
  checking?: Promise<void>;
  /** Of the next check, while there is trouble. */
  timer?: NodeJS.Timeout;
}

const CHECK_EVERY_MS = 2_000;
const CHECK_LIMIT_MS = 8_000;
/** No object has this name, and none is made. */
const CHECKED_NAME = '.imagen-access-check';

/** @param store makes the checks, in single attempts */
export function createBuckets(store: Pick<ObjectStore, 'checkAccess'>): Buckets {
  /** Their number is that of the buckets that the configuration permits. */
  const states: State[] = [];
  const closing = new AbortController();

  function stateOf(bucket: string, access: BucketAccess): State {
    let state = states.find((one) => one.bucket === bucket && one.access === access);
    if (!state) states.push((state = { bucket, access }));
    return state;
  }

  function succeeded(state: State): void {
    state.usedAt = Date.now();
    delete state.reason;
    clearTimeout(state.timer);
  }

  function check(place: ObjectRef, access: BucketAccess): Promise<void> {
    const state = stateOf(place.bucket, access);
    // Whoever fails meanwhile shares the answer.
    state.checking ??= runCheck(state, { ...place, name: neighbour(place.name) }).finally(() => delete state.checking);
    return state.checking;
  }

  async function runCheck(state: State, place: ObjectRef): Promise<void> {
    clearTimeout(state.timer);
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Error(`no answer within ${CHECK_LIMIT_MS} ms`)), CHECK_LIMIT_MS);
    try {
      await store.checkAccess(place, state.access, limit.signal);
      succeeded(state);
    } catch (thrown) {
      state.reason = thrown instanceof Error ? thrown.message : String(thrown);
      if (closing.signal.aborted) return;
      state.timer = setTimeout(() => void check(place, state.access), CHECK_EVERY_MS).unref();
    } finally {
      clearTimeout(timer);
    }
  }

  async function watched<T>(place: ObjectRef, access: BucketAccess, call: () => Promise<T>): Promise<T> {
    try {
      const result = await call();
      succeeded(stateOf(place.bucket, access));
      return result;
    } catch (thrown) {
      if (!(thrown instanceof JobError) || thrown.code !== 'STORAGE_UNAVAILABLE') throw thrown;
      void check(place, access);
      const needs: Need = { kind: 'bucket', name: place.bucket, access };
      throw new JobError(thrown.code, thrown.message, { cause: thrown, needs });
    }
  }

  const known = (bucket: string, access: BucketAccess) =>
    states.find((one) => one.bucket === bucket && one.access === access);

  return {
    check,
    watch: (plain) => ({
      read: (ref, options) => watched(ref, 'read', () => plain.read(ref, options)),
      stat: (ref, signal) => watched(ref, 'read', () => plain.stat(ref, signal)),
      create: (ref, bytes, options) => watched(ref, 'create', () => plain.create(ref, bytes, options)),
      checkAccess: (ref, access, signal) => watched(ref, access, () => plain.checkAccess(ref, access, signal)),
    }),
    trouble: (bucket, access) => known(bucket, access)?.reason,
    usedAt: (bucket, access) => known(bucket, access)?.usedAt,
    open: () =>
      states.flatMap(({ bucket, access, reason }) => (reason === undefined ? [] : [{ bucket, access, reason }])),
    close() {
      closing.abort();
      for (const { timer } of states) clearTimeout(timer);
    },
  };
}

/** In the same folder: rights may be given by folder. */
function neighbour(name: string): string {
  return `${name.slice(0, name.lastIndexOf('/') + 1)}${CHECKED_NAME}`;
}
