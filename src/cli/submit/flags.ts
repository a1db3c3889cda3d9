import type { SubmitRequest } from '../../client/request.js';
import { duplicateKey } from '../../domain/json.js';
import type { PRIORITIES } from '../../domain/job.js';
import { checkQuality, numberOf, operationsOf, outputOf, type RenderFlags } from '../operations.js';
import { UsageError } from '../usage.js';

export interface Flags extends RenderFlags {
  readonly jobId?: string;
  readonly redriveOf?: string;
  readonly group?: string;
  readonly groupTotal?: string;
  readonly tenant?: string;
  readonly outputUri?: string;
  readonly outputPrefix?: string;
  readonly priority?: (typeof PRIORITIES)[number];
  readonly experimentKey?: string;
  readonly deadline?: string;
  readonly timeout?: string;
  readonly metadata?: string;
  readonly republish?: boolean;
  readonly wait?: boolean;
  readonly waitSeconds?: string;
  readonly download?: string;
  readonly out?: string;
  readonly report?: string;
  readonly json?: boolean;
}

/** What the flags say about every job. */
export type Wish = Omit<SubmitRequest, 'input'>;

/** @throws UsageError */
export function wishOf(flags: Flags): Wish {
  const place = definedOnly({ uri: flags.outputUri, prefix: flags.outputPrefix });
  const output = { ...outputOf(flags), ...place };
  checkQuality(output);
  const group = definedOnly({ id: flags.group, total: numberOf(flags.groupTotal) });
  checkDeadline('--deadline', flags.deadline);
  if (flags.groupTotal !== undefined && flags.group === undefined) throw new UsageError('--group-total needs --group');
  return definedOnly({
    operations: operationsOf(flags),
    output: Object.keys(output).length > 0 ? output : undefined,
    priority: flags.priority,
    deadline: flags.deadline,
    experimentKey: flags.experimentKey,
    timeoutSeconds: numberOf(flags.timeout),
    metadata: flags.metadata === undefined ? undefined : parseMetadata(flags.metadata),
    group: flags.group === undefined ? undefined : group,
    tenant: flags.tenant,
    redriveOf: flags.redriveOf,
    jobId: flags.jobId,
  }) as unknown as Wish;
}

/** @returns undefined if the flag is not given. @throws UsageError */
export function waitMsOf({ waitSeconds }: Pick<Flags, 'waitSeconds'>): number | undefined {
  if (waitSeconds === undefined) return undefined;
  const waitMs = Number(waitSeconds) * 1000;
  if (waitMs > 0 && waitMs < 2 ** 31) return waitMs;
  throw new UsageError(`--wait-seconds: expected a number of seconds, given ${waitSeconds}`);
}

/**
 * A value that is not a time is refused later, with the rest of the message. @throws UsageError for a time that has
 * passed
 */
export function checkDeadline(at: string, deadline: unknown): void {
  if (typeof deadline !== 'string' || !(Date.parse(deadline) <= Date.now())) return;
  throw new UsageError(`${at}: expected a time to come, given ${deadline}`);
}

function parseMetadata(text: string): Record<string, unknown> {
  try {
    const value = JSON.parse(text) as Record<string, unknown>; // checked with the rest of the message
    const twice = duplicateKey(text);
    if (twice === undefined) return value;
    throw new UsageError(`--metadata: ${twice} is given twice`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--metadata: expected JSON, given ${text}`);
  }
}

export function definedOnly<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
