/**
 * The decision that an arm gets no more jobs. It is one small object: the worker that creates it decides for all workers.
 * Its name contains the experiment's revision, so that an edited experiment starts anew and nothing must be deleted.
 */
import { z } from 'zod';
import { type Arm, STOP_REASONS } from '../domain/experiment.js';
import type { ObjectStore } from '../domain/ports.js';
import { type ObjectRef, under } from '../domain/uri.js';

const armStopSchema = z.strictObject({
  experiment: z.string(),
  revision: z.string(),
  model: z.string(),
  arm: z.string(),
  version: z.string(),
  operations: z.int().describe('Operations that the worker had counted in the window'),
  failures: z.int().describe('Number of these that the version had failed at'),
  reason: z.enum(STOP_REASONS).optional().describe('Absent in decisions of workers that know only failures'),
  slow: z.int().optional().describe('Number of the failures that took longer than `maxSeconds`'),
  latencyRatio: z
    .number()
    .optional()
    .describe('Ratio of the arm to the default version, by medians of requests of like size'),
  jobId: z.string().optional().describe('The job of the last failure'),
  error: z.string().optional().describe('Code and message of the last failure'),
  worker: z.string(),
  time: z.string(),
});

export type ArmStop = z.infer<typeof armStopSchema>;

/**
 * The object that stops an arm. Names of experiments and arms never contain `~`. The suffix excludes the object from the
 * lifecycle rule that deletes records by age.
 */
export function armStopRef(statePrefix: string, { experiment, name, revision }: Arm): ObjectRef {
  return under(statePrefix, `experiments/${experiment}~${name}~${revision}.stopped`);
}

export function encodeArmStop(stop: ArmStop): Buffer {
  return Buffer.from(JSON.stringify(stop));
}

/** Size limit of a decision, in bytes. */
const MAX_BYTES = 4_096;

/**
 * Reads the decision on an arm. That there is one counts, even if it cannot be read: only workers may write under the state
 * prefix.
 * @returns an empty decision if it cannot be read; undefined if there is none
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function readArmStop(
  store: Pick<ObjectStore, 'read'>,
  statePrefix: string,
  arm: Arm,
  signal: AbortSignal,
): Promise<Partial<ArmStop> | undefined> {
  const found = await store.read(armStopRef(statePrefix, arm), { maxBytes: MAX_BYTES, signal });
  if (found.kind === 'missing') return undefined;
  return found.kind === 'found' ? decoded(found.bytes) : {};
}

function decoded(bytes: Buffer): Partial<ArmStop> {
  try {
    return armStopSchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    return {};
  }
}
