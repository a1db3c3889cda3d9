/** How `submit` words what became of a job. */
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

function describeStep({ model, servedVersion, experiment, arm, fallbackFrom }: Step): string {
  const why =
    arm === undefined ? '' : ` (arm ${experiment}/${arm}${fallbackFrom ? `, after ${fallbackFrom} failed` : ''})`;
  return `${model}@${servedVersion}${why}`;
}
