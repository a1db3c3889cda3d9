/** `gs://bucket/name` addresses, and the prefixes that permit them. */

export interface ObjectRef {
  readonly bucket: string;
  readonly name: string;
}

// There is no lower limit here, because it differs between emulators, old buckets and new ones. Cloud Storage checks it.
const BUCKET = /^[a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?$/;
// Cloud Storage forbids CR and LF. Other control characters only confuse readers of a log.
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

/**
 * Parses an object's address.
 * @returns the parts, or a sentence that says what is wrong (`expected …`)
 */
export function parseObjectUri(uri: string): ObjectRef | string {
  const match = /^gs:\/\/([^/]+)\/(.+)$/s.exec(uri);
  if (!match) return 'expected gs://<bucket>/<object>';
  const [, bucket = '', name = ''] = match;
  if (!BUCKET.test(bucket)) return 'expected a valid bucket name after gs://';
  if (CONTROL.test(name)) return 'expected an object name without control characters';
  if (/\p{Surrogate}/u.test(name)) return 'expected an object name in well-formed Unicode';
  // Cloud Storage refuses to create these names, because certificate authorities look for proofs there.
  if (name.startsWith('.well-known/acme-challenge/')) {
    return 'expected an object name that does not begin with ".well-known/acme-challenge/"';
  }
  if (name.endsWith('/')) return 'expected an object name that does not end with "/"';
  if (Buffer.byteLength(name) > 1024) return 'expected an object name of at most 1024 bytes';
  if (name.split('/').some((part) => part === '.' || part === '..')) {
    return 'expected an object name without "." or ".." segments';
  }
  return { bucket, name };
}

/** Like {@link parseObjectUri}, for an address that was checked before. @throws TypeError if it is wrong, which is a bug */
export function objectRef(uri: string): ObjectRef {
  const ref = parseObjectUri(uri);
  if (typeof ref === 'string') throw new TypeError(`${uri}: ${ref}`);
  return ref;
}

export function objectUri(ref: ObjectRef): string {
  return `gs://${ref.bucket}/${ref.name}`;
}

/** Parses a bucket, or a bucket and folders: `gs://bucket`, `gs://bucket/`, `gs://bucket/a/b`, `gs://bucket/a/b/`. */
export function parsePrefix(prefix: string): { bucket: string; folder: string } | string {
  const match = /^gs:\/\/([^/]+)(?:\/(.*))?$/s.exec(prefix);
  if (!match) return 'expected gs://<bucket>/<prefix>';
  const [, bucket = '', folder = ''] = match;
  if (!BUCKET.test(bucket)) return 'expected a valid bucket name after gs://';
  const trimmed = folder.replace(/\/+$/, '');
  if (trimmed !== '') {
    const ref = parseObjectUri(`gs://${bucket}/${trimmed}`);
    if (typeof ref === 'string') return ref;
  }
  return { bucket, folder: trimmed };
}

/** The object `name` under `prefix`; the prefix was checked before. */
export function under(prefix: string, name: string): ObjectRef {
  const parsed = parsePrefix(prefix);
  if (typeof parsed === 'string') throw new TypeError(`${prefix}: ${parsed}`);
  return { bucket: parsed.bucket, name: parsed.folder === '' ? name : `${parsed.folder}/${name}` };
}

/**
 * Whether one of the prefixes permits the object. A prefix matches at a slash: `gs://in/8841` permits
 * `gs://in/8841/a.jpg` but neither `gs://in/88412.jpg` nor `gs://in/8841` itself. An empty list permits nothing.
 */
export function isPermitted(ref: ObjectRef, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => {
    const parsed = parsePrefix(prefix);
    if (typeof parsed === 'string') return false;
    return parsed.bucket === ref.bucket && (parsed.folder === '' || ref.name.startsWith(`${parsed.folder}/`));
  });
}

/** Whether an object may lie under both prefixes, since one contains the other. Both were checked before. */
export function overlap(one: string, other: string): boolean {
  return isPermitted(under(one, 'x'), [other]) || isPermitted(under(other, 'x'), [one]);
}
