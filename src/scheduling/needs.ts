/** What jobs need of models and buckets, and the labels for these needs on messages that are put back. */
import type { BucketAccess, BucketNeed, Need } from '../domain/errors.js';
import { stickyKey } from '../domain/experiment.js';
import { sha256 } from '../domain/fingerprint.js';
import type { Job } from '../domain/job.js';
import { isPermitted, type ObjectRef, objectRef, parsePrefix, under } from '../domain/uri.js';

/**
 * The configured prefixes. Rights can be granted per prefix, so one may be usable while another in the same bucket is not.
 */
export interface Prefixes {
  readonly statePrefix: string;
  /** Prefix of results, for jobs that name none. */
  readonly outputPrefix: string;
  readonly allowedInputs: readonly string[];
  readonly allowedOutputs: readonly string[];
}

/** All prefixes that the worker must be able to read or create objects in. */
export function configuredPrefixes(prefixes: Prefixes): BucketNeed[] {
  return [
    ...prefixesFor(prefixes, 'read').map((prefix) => needAt(prefix, 'read')),
    ...prefixesFor(prefixes, 'create').map((prefix) => needAt(prefix, 'create')),
  ];
}

/** The longest configured prefix that contains the object, or the whole bucket if there is none. */
export function prefixOf(prefixes: Prefixes, ref: ObjectRef, access: BucketAccess): BucketNeed {
  return prefixesFor(prefixes, access)
    .filter((prefix) => isPermitted(ref, [prefix]))
    .map((prefix) => needAt(prefix, access))
    .reduce<BucketNeed>(longer, { kind: 'bucket', name: ref.bucket, access });
}

function prefixesFor(prefixes: Prefixes, access: BucketAccess): readonly string[] {
  const { statePrefix, outputPrefix, allowedInputs, allowedOutputs } = prefixes;
  return access === 'read' ? [statePrefix, ...allowedInputs] : [statePrefix, outputPrefix, ...allowedOutputs];
}

function needAt(prefix: string, access: BucketAccess): BucketNeed {
  const parsed = parsePrefix(prefix);
  if (typeof parsed === 'string') throw new TypeError(`${prefix}: ${parsed}`);
  const { bucket, folder } = parsed;
  return { kind: 'bucket', name: bucket, access, ...(folder === '' ? {} : { folder }) };
}

const longer = (a: BucketNeed, b: BucketNeed) => ((b.folder ?? '').length > (a.folder ?? '').length ? b : a);

/** What a job needs, in the order of use. The worker checks the place of the result before it computes anything. */
export function needsOf(job: Job, prefixes: Prefixes): Need[] {
  const { jobId, input, output, operations } = job;
  const { uri, prefix = prefixes.outputPrefix } = output;
  const result = uri === undefined ? under(prefix, jobId) : objectRef(uri);
  const key = stickyKey(job);
  const models = operations.map(({ model: name, version }): Need => {
    return { kind: 'model', name, ...(version === undefined ? { key } : { version }) };
  });
  return [
    ...recordNeeds(prefixes),
    prefixOf(prefixes, objectRef(input.uri), 'read'),
    prefixOf(prefixes, result, 'create'),
    ...new Map(models.map((need) => [needLabel(need), need])).values(),
  ];
}

/** What every job needs: the place of the records. */
export function recordNeeds({ statePrefix }: Pick<Prefixes, 'statePrefix'>): readonly BucketNeed[] {
  return [needAt(statePrefix, 'read'), needAt(statePrefix, 'create')];
}

/** The model of a version, or the place of an object. */
export function wholeOf(need: Need): Need {
  if (need.kind === 'model') return { kind: 'model', name: need.name };
  const { kind, name, access, folder } = need;
  return { kind, name, access, ...(folder === undefined ? {} : { folder }) };
}

/** The label of a need on messages that are put back, shorter than the 1,024 bytes that an attribute may have. */
export function needLabel(need: Need): string {
  if (need.kind === 'model') {
    const model = `model ${brief(need.name)}`;
    return need.version === undefined ? model : `version ${need.version}${OF}${model}`;
  }
  const place = `${need.access} bucket ${brief(pathOf(need))}`;
  return need.object === undefined ? place : `object ${brief(need.object)}${OF}${place}`;
}

/** `bucket/folder`, or the bucket alone. */
export function pathOf({ name, folder }: Pick<BucketNeed, 'name' | 'folder'>): string {
  return folder === undefined ? name : `${name}/${folder}`;
}

/** Whether the first label names a part of the second: a version of the model, or an object of the place. */
export function isPartOf(part: string, whole: string): boolean {
  return part.endsWith(`${OF}${whole}`);
}

const OF = ' of ';
const MOST_LABEL_BYTES = 300;

const brief = (text: string) => (Buffer.byteLength(text) > MOST_LABEL_BYTES ? `sha256:${sha256(text)}` : text);
