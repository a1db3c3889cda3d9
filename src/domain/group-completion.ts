/** The group completion says that all jobs of a group have ended. It is published once the last of them has its completion. */
import { z } from 'zod';
import { type Completion, type Status, STATUSES } from './completion.js';
import { sha256 } from './fingerprint.js';
import { groupSchema, SCHEMA_VERSION } from './job.js';

const count = z.int().nonnegative();

export const groupCompletionSchema = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  type: z
    .literal('group')
    .describe('Distinguishes it from the completion of a job, as the attribute of the same name does'),
  eventId: z.string().describe('The same for every publish'),
  group: groupSchema.required(),
  counts: z
    .strictObject({ succeeded: count, failed: count, expired: count, canceled: count })
    .describe('Number of jobs by how each first ended; a redrive counts as its job. They add up to the total'),
  closedBy: z.string().describe('The job whose end was the last to be counted'),
  endedAt: z.iso.datetime(),
});

export type GroupCompletion = z.infer<typeof groupCompletionSchema>;
/** A group whose number of jobs is known. Another total makes another group. */
export type CountedGroup = GroupCompletion['group'];
export type GroupCounts = GroupCompletion['counts'];

export function groupCompletion(group: CountedGroup, counts: GroupCounts, closedBy: string): GroupCompletion {
  const { id, total } = group;
  return {
    ...{ schemaVersion: SCHEMA_VERSION, type: 'group', eventId: eventIdOfGroup(group), group: { id, total } },
    ...{ counts, closedBy, endedAt: new Date().toISOString() },
  };
}

function eventIdOfGroup({ id, total }: CountedGroup): string {
  return sha256(`group\n${id}\n${total}`).slice(0, 32);
}

/** Attributes of the message. `type` is one that no job's completion has, so a filter can tell them apart. */
export function groupCompletionAttributes({ group }: GroupCompletion): Record<string, string> {
  return { type: 'group', groupId: group.id, schemaVersion: String(SCHEMA_VERSION) };
}

export const NO_COUNTS: GroupCounts = { succeeded: 0, failed: 0, expired: 0, canceled: 0 };

/** A status of a newer worker counts as a failure. */
export function countedAs(status: Completion['status']): Status {
  return STATUSES.includes(status) ? status : 'failed';
}
