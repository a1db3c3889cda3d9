/** Where the pictures and reports of shadows are kept, and how reports are read. */
import { RESULT_KEY } from '../domain/notification.js';
import { pagesOf } from '../domain/pages.js';
import type { CreateResult, ObjectStore } from '../domain/ports.js';
import { type ShadowReport, shadowReportSchema } from '../domain/shadow.js';
import { type ObjectRef, objectUri, under } from '../domain/uri.js';
import type { Encoded } from '../pipeline/encode.js';
import type { Format } from '../pipeline/formats/format.js';

type Whose = Pick<ShadowReport, 'model' | 'version' | 'jobId'>;

const REPORT = 'report.json';
/** Size limit of a report. Its longest fields are two addresses and the message of an error. */
const MAX_BYTES = 16_384;

/** `<prefix>/<model>/<version>/<jobId>/<name>` */
const refOf = (prefix: string, { model, version, jobId }: Whose, name: string): ObjectRef =>
  under(prefix, `${model}/${version}/${jobId}/${name}`);

/** A bucket that notifies of new objects makes no jobs of those with this metadata. */
const metadataOf = ({ jobId }: Whose) => ({ [RESULT_KEY]: jobId });

/** Stores the picture, create-only. @returns its address @throws JobError `STORAGE_UNAVAILABLE` */
export async function storePicture(
  store: ObjectStore,
  prefix: string,
  whose: Whose,
  { bytes }: Encoded,
  { extension, contentType }: Format,
  signal: AbortSignal,
): Promise<string> {
  const ref = refOf(prefix, whose, `result.${extension}`);
  await store.create(ref, bytes, { contentType, metadata: metadataOf(whose), signal });
  return objectUri(ref);
}

/** Stores the report, create-only. @throws JobError `STORAGE_UNAVAILABLE` */
export function storeReport(
  store: ObjectStore,
  prefix: string,
  report: ShadowReport,
  signal: AbortSignal,
): Promise<CreateResult> {
  return store.create(refOf(prefix, report, REPORT), Buffer.from(JSON.stringify(report)), {
    ...{ contentType: 'application/json', metadata: metadataOf(report), signal },
  });
}

/**
 * Where the reports under a prefix are, in the order of their names, one request for each 1,000 of them. That of a shadow in
 * progress may be missing yet.
 * @param model only those of this model
 * @throws JobError `STORAGE_UNAVAILABLE`; the signal's reason
 */
export async function* listReports(
  store: ObjectStore,
  prefix: string,
  model: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<ObjectRef, void, void> {
  const models = model === undefined ? foldersIn(store, under(prefix, ''), signal) : [under(prefix, `${model}/`)];
  for await (const ofModel of models) {
    for await (const ofVersion of foldersIn(store, ofModel, signal)) {
      for await (const { bucket, name } of foldersIn(store, ofVersion, signal)) {
        yield { bucket, name: `${name}${REPORT}` };
      }
    }
  }
}

/** @param folder its name ends with a slash, or is empty */
async function* foldersIn(store: ObjectStore, folder: ObjectRef, signal: AbortSignal): AsyncGenerator<ObjectRef> {
  for await (const { folders } of pagesOf(store, folder, undefined, signal)) {
    for (const name of folders) yield { bucket: folder.bucket, name };
  }
}

/**
 * @returns undefined if there is none; a sentence that says what is wrong, if it is no report
 * @throws JobError `STORAGE_UNAVAILABLE`
 */
export async function readReport(
  store: ObjectStore,
  ref: ObjectRef,
  signal: AbortSignal,
): Promise<ShadowReport | string | undefined> {
  const found = await store.read(ref, { maxBytes: MAX_BYTES, signal });
  if (found.kind === 'missing') return undefined;
  if (found.kind !== 'found') return `${objectUri(ref)}: expected a report, found an object that is ${found.kind}`;
  try {
    return shadowReportSchema.parse(JSON.parse(found.bytes.toString('utf8')));
  } catch {
    return `${objectUri(ref)}: expected the report of a shadow, found something else`;
  }
}
