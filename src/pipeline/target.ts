import { JobError } from '../domain/errors.js';
import type { Job } from '../domain/job.js';
import { isPermitted, type ObjectRef, objectRef, objectUri, parseObjectUri, under } from '../domain/uri.js';
import type { Format } from './formats/format.js';

export interface TargetOptions {
  /** Prefix for jobs that set neither `output.uri` nor `output.prefix`. */
  readonly outputPrefix: string;
  readonly allowedOutputs: readonly string[];
}

/**
 * Chooses the object for the result. It rejects a wrong target before anything is read or computed.
 * @returns the object for a given format, which is known only after the picture was decoded
 * @throws JobError `OUTPUT_FORBIDDEN`; `INVALID_PARAMETERS` when prefix and jobId make a name that is too long
 */
export function chooseTarget({ jobId, output }: Job, options: TargetOptions): (format: Format) => ObjectRef {
  const { uri, prefix = options.outputPrefix } = output;
  const target = (extension: string) =>
    uri === undefined ? under(prefix, `${jobId}/result.${extension}`) : objectRef(uri);
  // A prefix ends at a slash, so the extension does not change the result of the checks.
  const probe = target('webp');
  const complaint = parseObjectUri(objectUri(probe));
  if (typeof complaint === 'string')
    throw new JobError('INVALID_PARAMETERS', `output: ${complaint}`, { stage: 'plan' });
  if (!isPermitted(probe, options.allowedOutputs)) {
    throw new JobError('OUTPUT_FORBIDDEN', `${objectUri(probe)} is under none of the permitted prefixes`);
  }
  return ({ extension }) => target(extension);
}
