import { type BucketAccess, type BucketNeed, JobError } from '../domain/errors.js';
import type { ObjectStore } from '../domain/ports.js';
import type { ObjectRef } from '../domain/uri.js';
import { configuredPrefixes, needLabel, prefixOf, type Prefixes, wholeOf } from './needs.js';

/**
 * Tracks which configured prefixes cannot be read or written now, so that the worker computes nothing for jobs that need one
 * of them. Rights can be granted per prefix, so each prefix has its own state.
 *
 * A failed call only triggers a check of its prefix, and the check decides: one unreadable object says nothing about its
 * neighbours. The worker repeats the check of an unavailable prefix without a job, because a job would compute its result
 * before it finds out whether the result can be stored.
 */
export interface Buckets {
  /** Wraps the store. A failed call names the object and prefix that it needed, and triggers a check of the prefix. */
  watch(store: ObjectStore): ObjectStore;
  /** Checks all prefixes. Afterwards `trouble` has the answers. */
  checkAll(): Promise<void>;
  /** Why this prefix is unavailable; undefined if it is not. */
  trouble(need: BucketNeed): string | undefined;
  /** When a prefix was last used successfully, by `Date.now()`. A check does not count as a use. */
  usedAt(label: string): number | undefined;
  /** All unavailable prefixes. */
  open(): readonly BucketTrouble[];
  /** Stops the checks. */
  close(): void;
}

export interface BucketTrouble {
  readonly prefix: BucketNeed;
  readonly reason: string;
}

interface State {
  readonly prefix: BucketNeed;
  usedAt?: number;
  /** The failure that the last check found. */
  reason?: string;
  checking?: Promise<void>;
  /** Timer of the next check, set while the prefix is unavailable. */
  timer?: NodeJS.Timeout;
}

const CHECK_EVERY_MS = 2_000;
const CHECK_LIMIT_MS = 8_000;
/** Checks look for this name. No object has it, and the worker never creates one. */
const CHECKED_NAME = '.imagen-access-check';
/** Cloud Storage's limit on the length of an object name. */
const MOST_NAME_BYTES = 1_024;

/** @param store makes the checks, one attempt per check */
export function createBuckets(store: Pick<ObjectStore, 'checkAccess'>, prefixes: Prefixes): Buckets {
  /** By label. Only configured prefixes are keys, so the map stays small. */
  const states = new Map<string, State>();
  const closing = new AbortController();

  function stateOf(prefix: BucketNeed): State {
    const label = needLabel(prefix);
    const state = states.get(label) ?? { prefix };
    states.set(label, state);
    return state;
  }

  function usable(state: State): void {
    delete state.reason;
    clearTimeout(state.timer);
  }

  /** Calls that fail during a check share its answer. */
  function check(state: State): Promise<void> {
    state.checking ??= runCheck(state).finally(() => delete state.checking);
    return state.checking;
  }

  async function runCheck(state: State): Promise<void> {
    clearTimeout(state.timer);
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Error(`no answer within ${CHECK_LIMIT_MS} ms`)), CHECK_LIMIT_MS);
    try {
      await store.checkAccess(probeIn(state.prefix), state.prefix.access, limit.signal);
      usable(state);
    } catch (thrown) {
      state.reason = thrown instanceof Error ? thrown.message : String(thrown);
      if (closing.signal.aborted) return;
      state.timer = setTimeout(() => void check(state), CHECK_EVERY_MS).unref();
    } finally {
      clearTimeout(timer);
    }
  }

  async function watched<T>(ref: ObjectRef, access: BucketAccess, call: () => Promise<T>): Promise<T> {
    const prefix = prefixOf(prefixes, ref, access);
    try {
      const result = await call();
      const state = stateOf(prefix);
      state.usedAt = Date.now();
      usable(state);
      return result;
    } catch (thrown) {
      if (!(thrown instanceof JobError) || thrown.code !== 'STORAGE_UNAVAILABLE') throw thrown;
      void check(stateOf(prefix));
      const needs = { ...prefix, object: ref.name };
      throw new JobError(thrown.code, thrown.message, { cause: thrown, needs });
    }
  }

  return {
    watch: (plain) => ({
      read: (ref, options) => watched(ref, 'read', () => plain.read(ref, options)),
      stat: (ref, signal) => watched(ref, 'read', () => plain.stat(ref, signal)),
      create: (ref, bytes, options) => watched(ref, 'create', () => plain.create(ref, bytes, options)),
      list: (prefix, options) => watched(prefix, 'read', () => plain.list(prefix, options)),
      checkAccess: (ref, access, signal) => plain.checkAccess(ref, access, signal),
    }),
    async checkAll() {
      await Promise.all(configuredPrefixes(prefixes).map((prefix) => check(stateOf(prefix))));
    },
    trouble: (need) => states.get(needLabel(wholeOf(need)))?.reason,
    usedAt: (label) => states.get(label)?.usedAt,
    open: () =>
      [...states.values()].flatMap(({ prefix, reason }) => (reason === undefined ? [] : [{ prefix, reason }])),
    close() {
      closing.abort();
      for (const { timer } of states.values()) clearTimeout(timer);
    },
  };
}

/**
 * An object in the folder itself, since rights can be granted per folder. After a long folder name only part of the name
 * fits.
 */
export function probeIn({ name: bucket, folder }: BucketNeed): ObjectRef {
  if (folder === undefined) return { bucket, name: CHECKED_NAME };
  const left = MOST_NAME_BYTES - Buffer.byteLength(`${folder}/`);
  return { bucket, name: `${folder}/${CHECKED_NAME.slice(-Math.max(1, left))}` };
}
