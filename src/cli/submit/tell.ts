/** How `submit` words what became of a job. */
import type { Completion, Step } from '../../domain/completion.js';

export function describe({ jobId, status, error, output, steps, timingsMs }: Completion): string {
  const time = timingsMs ? `${timingsMs.total} ms` : '';
  if (!output)
    return `${status.padEnd(10)} ${jobId ?? ''}: ${error ? `${error.code}: ${error.message}` : 'no error'} ${time}`.trimEnd();
  const made = (steps ?? []).map(describeStep).join(' → ');
  return `${status.padEnd(10)} ${output.uri} (${output.width}x${output.height}, ${output.bytes} bytes) by ${made} in ${time}`;
}

function describeStep({ model, servedVersion, experiment, arm, fallbackFrom }: Step): string {
  const why =
    arm === undefined ? '' : ` (arm ${experiment}/${arm}${fallbackFrom ? `, after ${fallbackFrom} failed` : ''})`;
  return `${model}@${servedVersion}${why}`;
}
