import { writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { Command } from 'commander';
import { connectTriton } from '../adapters/triton/server.js';
import { readConfig } from '../config/index.js';
import { capacityOf } from '../domain/capacity.js';
import type { OutputFormat } from '../domain/job.js';
import { atOnce } from '../pipeline/codec.js';
import { DEFAULT_COST } from '../pipeline/cost.js';
import { FORMATS } from '../pipeline/formats/index.js';
import { JobContext } from '../pipeline/job-context.js';
import { JobState } from '../pipeline/job-state.js';
import { localSteps, runSteps } from '../pipeline/run.js';
import { openRoutes } from '../config/routes-file.js';
import { createFairShare } from '../scheduling/fair-share.js';
import type { Invocation } from './usage.js';
import { checkedJob, operationsOf, outputOf, readLocalFile, RENDER_OPTIONS, type RenderFlags } from './operations.js';

export function processCommand(invocation: Invocation): Command {
  const command = new Command('process')
    .description('one local image straight through Triton, without Pub/Sub and Cloud Storage')
    .argument('<file>')
    .requiredOption('-o, --output <file>', 'where the result goes');
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
    'maxInputPixels',
    'maxOutputPixels',
    'modelWaitSeconds',
    'inferenceAttempts',
  ]);
  const job = checkedJob({
    jobId: 'local',
    operations: operationsOf(flags),
    input: { uri: 'gs://local/file' },
    output: { ...formatOf(flags.output), ...outputOf(flags) },
    priority: 'interactive',
  });
  const bytes = readLocalFile(file);
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
    writeFileSync(flags.output, encoded.bytes);
    for (const warning of context.warnings) console.error(`warning: ${warning}`);
    const steps = context.steps.map((step) => `${step.model}@${step.servedVersion} (${step.plan}, ${step.requests})`);
    console.error(
      `${flags.output}: ${encoded.width}x${encoded.height}, ${steps.join(', ')}, ${context.timings().total} ms`,
    );
  } finally {
    await models.close();
  }
}

/** The format that the extension of the output file names. `--format` overrides it. */
function formatOf(path: string): { format?: OutputFormat } {
  const extension = extname(path).slice(1).toLowerCase();
  const names = Object.keys(FORMATS) as OutputFormat[];
  const format = names.find((name) => name === extension || FORMATS[name].extension === extension);
  return format === undefined ? {} : { format };
}
