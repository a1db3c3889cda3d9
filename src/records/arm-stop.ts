/**
 * The decision that an arm gets no more jobs: one small object, which whoever creates it has made for all workers. The
 * experiment's revision is in its name, so that an edited experiment begins anew and nothing need be deleted.
 */
import { z } from 'zod';
import type { Arm } from '../domain/experiment.js';
import { type ObjectRef, under } from '../domain/uri.js';

const armStopSchema = z.strictObject({
  experiment: z.string(),
  revision: z.string(),
  model: z.string(),
  arm: z.string(),
  version: z.string(),
  operations: z.int().describe('That the worker had counted in the window'),
  failures: z.int().describe('Of those, the ones that the version had failed at'),
  jobId: z.string().optional().describe('Of the last failure'),
  error: z.string().optional().describe('Of the last failure: its code and message'),
  worker: z.string(),
  time: z.string(),
});

export type ArmStop = z.infer<typeof armStopSchema>;

/** `~` is in no name of an experiment or an arm. The ending keeps it from the rule that deletes records by age. */
export function armStopRef(statePrefix: string, { experiment, name, revision }: Arm): ObjectRef {
  return under(statePrefix, `experiments/${experiment}~${name}~${revision}.stopped`);
}

export function encodeArmStop(stop: ArmStop): Buffer {
  return Buffer.from(JSON.stringify(stop));
}

/** @throws Error when the object is none of ours: nobody may write under the state prefix but the workers */
export function decodeArmStop(bytes: Buffer): ArmStop {
  return armStopSchema.parse(JSON.parse(bytes.toString('utf8')));
}
