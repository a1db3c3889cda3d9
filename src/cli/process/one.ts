/** `imagen process` of one picture. */
import { writeFileSync } from 'node:fs';
import { asUsage } from '../operations.js';
import { checkOutputFile, STDOUT } from '../output-file.js';
import { printBytes, printJson, say } from '../output.js';
import { untilInterrupted, UsageError } from '../usage.js';
import { LocalPipeline, localJob, stepInWords } from './local.js';
import type { ProcessFlags } from './many.js';

/** @returns the exit code */
export async function processOne(file: string, flags: ProcessFlags, env: NodeJS.ProcessEnv): Promise<number> {
  const { output, json = false } = flags;
  if (output === undefined) throw new UsageError('-o: expected the file of the result, or - for standard output');
  if (output === STDOUT && json) throw new UsageError('-o -: expected a file, because --json prints');
  const job = localJob(flags, checkOutputFile('-o', output, [file], flags.format));
  const pipeline = new LocalPipeline(env);
  const signal = untilInterrupted();
  try {
    const bytes = await pipeline.read(file, signal).catch((error: unknown) => {
      throw asUsage(error);
    });
    await pipeline.reach();
    const { encoded, warnings, steps, totalMs } = await pipeline.process(job, bytes, signal);
    const { width, height } = encoded;
    if (output === STDOUT) printBytes(encoded.bytes);
    else writeFileSync(output, encoded.bytes);
    for (const warning of warnings) say(`warning: ${warning}`);
    if (json) printJson({ input: file, saved: output, width, height, steps, warnings, totalMs });
    else say(`${output}: ${width}x${height}, ${steps.map(stepInWords).join(', ')}, ${totalMs} ms`);
    return 0;
  } finally {
    await pipeline.close();
  }
}
