/** How `submit` words what became of a job. */
import type { Submitted } from '../../client/submit.js';
import type { Completion, Step } from '../../domain/completion.js';

export function describe({ jobId, status, error, output, steps, timingsMs }: Completion): string {
  const time = `${timingsMs?.total ?? 0} ms`;
  if (!output) {
    const reason = error ? `${error.code}: ${error.message}` : 'no error';
    return `${status.padEnd(10)} ${jobId ?? ''}: ${reason}${timingsMs ? ` (after ${time})` : ''}`;
  }
  const made = (steps ?? []).map(describeStep).join(' → ');
  return `${status.padEnd(10)} ${output.uri} (${output.width}x${output.height}, ${output.bytes} bytes) by ${made} in ${time}`;
}

/** What a job that was submitted before does not take from the request, in words; undefined if the two agree. */
export function describeIgnored(submitted: readonly Pick<Submitted, 'ignored'>[]): string | undefined {
  const others = submitted.filter(({ ignored }) => ignored.length > 0);
  if (others.length === 0) return undefined;
  const fields = [...new Set(others.flatMap(({ ignored }) => ignored))].join(', ');
  const jobs = others.length === 1 ? 'a job that was' : `${others.length} jobs that were`;
  return `note: ${jobs} submitted before with another ${fields}: the earlier one holds, and that of this call has no effect`;
}

function describeStep({ model, servedVersion, experiment, arm, fallbackFrom }: Step): string {
  const why =
    arm === undefined ? '' : ` (arm ${experiment}/${arm}${fallbackFrom ? `, after ${fallbackFrom} failed` : ''})`;
  return `${model}@${servedVersion}${why}`;
}
