/** Replaces and removes objects, for operators' commands only. Workers may only create objects (decision 11). */
import type { ObjectRef } from '../../domain/uri.js';
import { pathOf } from './api.js';
import { type Doing, refused } from './errors.js';
import { refusalOf } from './refusal.js';
import { openApi, replaceObject } from './store.js';

export interface ObjectReplacer {
  /**
   * Replaces the object if it still has this generation.
   * @param generation 0 for an object that must not exist
   * @returns false if it has another generation, and is left as it is
   * @throws JobError `STORAGE_UNAVAILABLE`
   */
  replace(ref: ObjectRef, bytes: Buffer, how: Replacement): Promise<boolean>;
  /** Removes the object if it still has this generation. @returns and @throws as `replace` */
  remove(ref: ObjectRef, how: Omit<Replacement, 'contentType'>): Promise<boolean>;
}

interface Replacement {
  readonly generation: string;
  readonly contentType: string;
  readonly signal: AbortSignal;
}

/** Longer than a worker's: here nothing waits behind the request. In milliseconds. */
const LIMITS = { requestMs: 15_000, idleMs: 15_000 };

/** @param emulator base address; Google Cloud with the ambient credentials when absent */
export function createReplacer(emulator: string | undefined): ObjectReplacer {
  const api = openApi({ emulator }, LIMITS);
  return {
    async replace(ref, bytes, { signal, ...how }) {
      return (await replaceObject(api, ref, bytes, how, signal)) !== undefined;
    },
    remove(ref, { generation, signal }) {
      const doing: Doing = { what: 'create', ref, access: 'create' };
      const request = { method: 'DELETE', path: `${pathOf(ref)}?ifGenerationMatch=${generation}` } as const;
      return api.send(doing, request, signal, async (answer) => {
        const refusal = await refusalOf(answer);
        if (![200, 204, 404, 412].includes(refusal.status)) throw refused(doing, refusal);
        return refusal.status !== 412;
      });
    },
  };
}
