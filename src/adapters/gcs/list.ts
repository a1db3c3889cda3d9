import type { ListPage } from '../../domain/ports.js';
import type { ObjectRef } from '../../domain/uri.js';
import type { Api } from './api.js';
import type { HttpRequest } from './call.js';
import { bucketMissing, type Doing, refused, unavailable } from './errors.js';
import { refusalOf } from './refusal.js';

const FIELDS = 'fields=items(name,timeCreated,metadata),prefixes,nextPageToken';
/** Longest answer, in bytes: 1,000 names of 1 KiB with some metadata. Custom metadata of an object has at most 8 KiB. */
const MAX_BYTES = 16 * 1024 ** 2;

interface Answered {
  readonly items?: readonly {
    readonly name: string;
    readonly timeCreated: string;
    readonly metadata?: Readonly<Record<string, string>>;
  }[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

/** One page of names below a prefix. @throws JobError `STORAGE_UNAVAILABLE`, also for a bucket that is missing */
export async function listObjects(
  api: Api,
  prefix: ObjectRef,
  { from, page }: { readonly from?: string | undefined; readonly page?: string | undefined },
  signal: AbortSignal,
): Promise<ListPage> {
  const doing: Doing = { what: 'list', ref: prefix, access: 'read' };
  const query = new URLSearchParams({ prefix: prefix.name, delimiter: '/', maxResults: '1000' });
  if (from !== undefined) query.set('startOffset', from);
  if (page !== undefined) query.set('pageToken', page);
  const request: HttpRequest = {
    method: 'GET',
    path: `/storage/v1/b/${prefix.bucket}/o?${query.toString()}&${FIELDS}`,
  };
  return api.send(doing, request, signal, async (answer) => {
    if (answer.status !== 200) {
      const refusal = await refusalOf(answer);
      throw refusal.status === 404 ? bucketMissing(doing, refusal.message) : refused(doing, refusal);
    }
    const body = await answer.body(MAX_BYTES);
    const { items = [], prefixes = [], nextPageToken } = parse(body, doing);
    return {
      objects: items.map(({ name, timeCreated, metadata = {} }) => ({
        ...{ name, metadata },
        createdAt: new Date(timeCreated),
      })),
      folders: prefixes,
      ...(nextPageToken === undefined || nextPageToken === '' ? {} : { next: nextPageToken }),
    };
  });
}

function parse(body: Buffer | undefined, doing: Doing): Answered {
  try {
    return JSON.parse(body?.toString() ?? '') as Answered;
  } catch {
    throw unavailable(doing, 'expected a list as JSON, the answer is none');
  }
}
