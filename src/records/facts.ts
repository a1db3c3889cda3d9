/**
 * Facts of a record, kept as custom metadata of its object. A list of objects shows them, so a search reads only the
 * records that match. Records of older workers have none.
 */
import type { Status } from '../domain/completion.js';
import type { JobRecord } from './record.js';

export interface RecordFacts {
  /** A newer worker may have written a status that this one does not know. */
  readonly status: Status;
  /** The error's code. */
  readonly code?: string;
  /** The completion's `model` attribute. */
  readonly model?: string;
  /** Id of the job's group. */
  readonly group?: string;
  readonly tenant?: string;
}

export function factsOf({ completion, model }: JobRecord): RecordFacts {
  const { status, error, group, tenant } = completion;
  return {
    status,
    ...(error === undefined ? {} : { code: error.code }),
    ...(model === undefined ? {} : { model }),
    ...(group === undefined ? {} : { group: group.id }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

/** The facts as metadata of the record's object. */
export function factsAsMetadata(record: JobRecord): Readonly<Record<string, string>> {
  return { ...factsOf(record) };
}

/** @returns undefined for the record of an older worker */
export function factsIn(metadata: Readonly<Record<string, string>>): RecordFacts | undefined {
  const { status, code, model, group, tenant } = metadata;
  if (status === undefined) return undefined;
  return {
    status: status as Status,
    ...(code === undefined ? {} : { code }),
    ...(model === undefined ? {} : { model }),
    ...(group === undefined ? {} : { group }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}
