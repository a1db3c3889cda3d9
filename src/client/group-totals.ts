/** Finds groups that cannot hold all the jobs that are submitted together. */
import { resolve } from 'node:path';
import { canonicalJson, sha256 } from '../domain/fingerprint.js';
import { JobError } from '../domain/errors.js';
import { originalOf } from '../domain/job.js';
import { ClientError } from './errors.js';
import { checkRequest, type SubmitRequest } from './request.js';

/**
 * Jobs beyond the total of their group are not counted, so that the group would end before them.
 * @param requests of one call, all of them. Wrong ones are left out.
 * @throws ClientError `INVALID_ARGUMENT` if a group has more different requests than its total says
 */
export function checkGroupTotals(requests: readonly unknown[]): void {
  const groups = new Map<string, SubmitRequest[]>();
  for (const request of requests) {
    if (!isRequest(request) || typeof request.group?.total !== 'number') continue;
    const key = canonicalJson(request.group);
    const members = groups.get(key) ?? [];
    members.push(request);
    groups.set(key, members);
  }
  for (const members of groups.values()) {
    const { id = '', total = Infinity } = members[0]?.group ?? {};
    if (members.length <= total) continue;
    const distinct = new Set(members.map(keyOf)).size;
    if (distinct <= total) continue;
    const message = `requests: the total of group ${id} is ${total}, and ${distinct} different requests name it`;
    throw new ClientError('INVALID_ARGUMENT', `${message}: expected at most ${total}`);
  }
}

function isRequest(request: unknown): request is SubmitRequest {
  try {
    checkRequest(request);
    return true;
  } catch (thrown) {
    if (thrown instanceof JobError) return false; // it is refused in its turn
    throw thrown;
  }
}

/**
 * What makes a request the same job as another one, as far as that can be told without reading files. A redrive counts as
 * its job.
 * @returns the stream itself, if it is one without an id
 */
function keyOf({ jobId, redriveOf, input, name, generation, operations, output }: SubmitRequest): unknown {
  const id = jobId ?? redriveOf;
  if (id !== undefined) return originalOf(id);
  if (typeof input !== 'string' && !(input instanceof Uint8Array)) return input;
  const isObject = typeof input === 'string' && input.startsWith('gs://');
  const picture = typeof input !== 'string' ? sha256(input) : isObject ? input : resolve(input);
  return canonicalJson({ picture, name, generation, operations, output });
}
