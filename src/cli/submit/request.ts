/** The requests of many pictures: what the flags say of all, and a line of a manifest of one. */
import type { SubmitRequest } from '../../client/request.js';
import { JobError } from '../../domain/errors.js';
import { originalOf, parseJob } from '../../domain/job.js';
import type { Item } from '../pictures/items.js';
import { UsageError } from '../usage.js';
import { checkDeadline, type Wish } from './flags.js';

/** @throws UsageError that names the manifest's line and the field */
export function requestOfItem(item: Item, wish: Wish): SubmitRequest {
  const { output, ...own } = item.wish ?? {};
  const both = { ...wish.output, ...output };
  const request = { ...wish, ...own, ...(Object.keys(both).length > 0 ? { output: both } : {}), input: item.input };
  if (item.at !== undefined) checkLine(item.at, request);
  return request;
}

/** Checks a line with the worker's parser, before anything is sent. */
function checkLine(at: string, { input, generation, ...fields }: SubmitRequest): void {
  const { jobId, redriveOf, deadline } = fields;
  checkDeadline(`${at}: deadline`, deadline);
  const uri = typeof input === 'string' && input.startsWith('gs://') ? input : 'gs://checked/later';
  const madeId = typeof redriveOf === 'string' ? `${originalOf(redriveOf)}~r1` : 'x';
  const message = { ...fields, jobId: jobId ?? madeId, input: { uri, generation } };
  try {
    parseJob(Buffer.from(JSON.stringify(message)));
  } catch (thrown) {
    throw thrown instanceof JobError ? new UsageError(`${at}: ${thrown.message}`, { cause: thrown }) : thrown;
  }
}
