import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { connectTriton } from '../adapters/triton/server.js';
import { readConfig } from '../config/index.js';
import { capacityOf } from '../domain/capacity.js';
import { atOnce } from '../pipeline/codec.js';
import { DEFAULT_COST } from '../pipeline/cost.js';
import { JobContext } from '../pipeline/job-context.js';
import { JobState } from '../pipeline/job-state.js';
import { localSteps, runSteps } from '../pipeline/run.js';
import { openRoutes } from '../config/routes-file.js';
import { createFairShare } from '../scheduling/fair-share.js';
import { readPicture } from '../client/picture.js';
import {
  asUsage,
  checkedJob,
  checkQuality,
  operationsOf,
  outputOf,
  RENDER_OPTIONS,
  type RenderFlags,
} from './operations.js';
import { checkOutputFile, STDOUT } from './output-file.js';
import { type Invocation, UsageError } from './usage.js';

export function processCommand(invocation: Invocation): Command {
  const command = new Command('process')
    .description('one local image straight through Triton, without Pub/Sub and Cloud Storage')
    .argument('<file>')
    .requiredOption('-o, --output <file>', 'where the result goes; its name says the format; - is standard output');
  for (const option of RENDER_OPTIONS) command.addOption(option);
  return command.action((file: string, flags: RenderFlags & { output: string }) =>
    processFile(file, flags, invocation.env),
  );
}

async function processFile(file: string, flags: RenderFlags & { output: string }, env: NodeJS.ProcessEnv) {
  const config = readConfig(env, [
    'tritonUrl',
    'tritonTransport',
    'routesFile',
    'maxInputBytes',
    'maxInputPixels',
    'maxOutputPixels',
    'modelWaitSeconds',
    'inferenceAttempts',
  ]);
  const named = checkOutputFile('-o', flags.output, [file], flags.format);
  const output = { ...(named === undefined ? {} : { format: named }), ...outputOf(flags) };
  checkQuality(output);
  const job = checkedJob({
    jobId: 'local',
    operations: operationsOf(flags),
    input: { uri: 'gs://local/file' },
    output,
    priority: 'interactive',
  });
  const bytes = await readLocal(file, config.maxInputBytes);
  const models = connectTriton({ url: config.tritonUrl, transport: config.tritonTransport });
  const routes = openRoutes(config.routesFile);
  try {
    const waitMs = config.modelWaitSeconds * 1000;
    const share = createFairShare({
      capacityOf: (model) => capacityOf(models.contracts().get(model)),
      costOf: () => DEFAULT_COST,
      retry: { unavailableMs: waitMs, failedAttempts: config.inferenceAttempts },
    });
    const context = new JobContext(new AbortController().signal, 0);
    const parts = { models, schedule: share.scheduler(job) };
    const state = new JobState(job, context, parts, {
      maxInputPixels: config.maxInputPixels,
      maxOutputPixels: config.maxOutputPixels,
      route: () => ({ routes: routes.current(), waitMs }),
      predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
      reserve: () => Promise.resolve(() => undefined),
      codecs: () => atOnce,
    });
    state.bytes = bytes;
    await runSteps(localSteps(job), state);
    const { encoded } = state;
    if (flags.output === STDOUT) process.stdout.write(encoded.bytes);
    else writeFileSync(flags.output, encoded.bytes);
    for (const warning of context.warnings) console.error(`warning: ${warning}`);
    const steps = context.steps.map((step) => `${step.model}@${step.servedVersion} (${step.plan}, ${step.requests})`);
    console.error(
      `${flags.output}: ${encoded.width}x${encoded.height}, ${steps.join(', ')}, ${context.timings().total} ms`,
    );
  } finally {
    await models.close();
  }
}

/** @throws UsageError for an address, a folder, and a file that is empty, too large or no picture */
async function readLocal(file: string, maxBytes: number): Promise<Buffer> {
  if (file.startsWith('gs://')) {
    throw new UsageError(`${file}: expected a local file; \`imagen submit\` takes Cloud Storage objects`);
  }
  try {
    const picture = await readPicture(file, undefined, maxBytes, new AbortController().signal);
    return 'bytes' in picture ? picture.bytes : Buffer.alloc(0);
  } catch (error) {
    throw asUsage(error);
  }
}
