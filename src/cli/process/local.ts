/** The steps of the pipeline for local pictures, over one connection to Triton. */
import { availableParallelism } from 'node:os';
import { openRoutesStore } from '../../adapters/routes.js';
import { connectTriton } from '../../adapters/triton/server.js';
import { readPicture } from '../../client/picture.js';
import { readConfig } from '../../config/index.js';
import { readRoutes } from '../../config/routes.js';
import { capacityOf } from '../../domain/capacity.js';
import type { Step } from '../../domain/completion.js';
import type { Job, JobMessage } from '../../domain/job.js';
import type { ModelServer } from '../../domain/ports.js';
import { NO_ROUTES, routesOf } from '../../domain/routes.js';
import type { Encoded } from '../../pipeline/encode.js';
import type { Format } from '../../pipeline/formats/format.js';
import { JobContext } from '../../pipeline/job-context.js';
import { JobState } from '../../pipeline/job-state.js';
import { type TurboJpeg, turboFor } from '../../pipeline/jpeg/turbo.js';
import { localSteps, runSteps } from '../../pipeline/run.js';
import { createBudget } from '../../scheduling/budget.js';
import { codecSlots, createCodecs } from '../../scheduling/codecs.js';
import { createCostModel } from '../../scheduling/cost-model.js';
import { createFairShare } from '../../scheduling/fair-share.js';
import { checkedJob, checkQuality, operationsOf, outputOf, type RenderFlags } from '../operations.js';
import { reachTriton } from '../reach.js';
import { UsageError } from '../usage.js';

export const LOCAL_SETTINGS = [
  ...([
    'tritonUrl',
    'tritonTransport',
    'routesFile',
    'storageEmulator',
    'modelWaitSeconds',
    'inferenceAttempts',
    'maxJobs',
  ] as const),
  ...(['maxInputBytes', 'maxInputPixels', 'maxOutputPixels', 'maxDecodedBytes', 'poolThreads', 'jpegCodec'] as const),
];

/** Time limit for reading the routes, in milliseconds. */
const ROUTES_MS = 10_000;

export interface Processed {
  readonly encoded: Encoded;
  readonly format: Format;
  readonly warnings: readonly string[];
  readonly steps: readonly Step[];
  readonly totalMs: number;
}

/** Limits, memory and scheduling are those of a worker, so several pictures at once fill Triton's batches as jobs do. */
export class LocalPipeline {
  /** Pictures at once that keep Triton busy. */
  readonly atOnce: number;
  readonly #config: ReturnType<typeof settingsIn>;
  readonly #server: ReturnType<typeof connectTriton>;
  /** The server, with what its answers teach about costs. */
  readonly #models: ModelServer;
  #routes = NO_ROUTES;
  readonly #budget: ReturnType<typeof createBudget>;
  readonly #codecs: ReturnType<typeof createCodecs>;
  readonly #turbo: TurboJpeg | undefined;
  readonly #costs = createCostModel();
  readonly #share: ReturnType<typeof createFairShare>;
  #active = 0;

  /** The caller closes it. @throws ConfigError */
  constructor(env: NodeJS.ProcessEnv) {
    this.#config = settingsIn(env);
    const { tritonUrl: url, tritonTransport: transport, maxDecodedBytes, poolThreads } = this.#config;
    this.atOnce = this.#config.maxJobs;
    this.#server = connectTriton({ url, transport });
    this.#models = this.#costs.watch(this.#server);
    this.#budget = createBudget(maxDecodedBytes);
    this.#turbo = turboFor(this.#config.jpegCodec);
    this.#codecs = createCodecs(codecSlots(poolThreads, availableParallelism()));
    this.#share = createFairShare({
      capacityOf: (model) => capacityOf(this.#server.contracts().get(model)),
      costOf: (model, version) => this.#costs.costOf(model, version),
      retry: { unavailableMs: this.#waitMs, failedAttempts: this.#config.inferenceAttempts },
    });
  }

  get #waitMs(): number {
    return this.#config.modelWaitSeconds * 1000;
  }

  /**
   * Reads the routes and the models. To be called first.
   * @throws CommandFailed within seconds if Triton does not answer; ConfigError for missing or wrong routes; JobError if
   *   storage has them and does not answer
   */
  async reach(): Promise<void> {
    const { routesFile, storageEmulator } = this.#config;
    if (routesFile !== undefined) {
      const store = openRoutesStore({ routesFile, storageEmulator });
      this.#routes = routesOf((await readRoutes(store, AbortSignal.timeout(ROUTES_MS))).document);
    }
    await reachTriton(this.#server, this.#config.tritonUrl);
  }

  /** @throws UsageError for an address, a folder; JobError and ClientError for a file that is empty, too large or no picture */
  async read(file: string, signal: AbortSignal): Promise<Buffer> {
    if (file.startsWith('gs://')) {
      throw new UsageError(`${file}: expected a local file; \`imagen submit\` takes Cloud Storage objects`);
    }
    const picture = await readPicture(file, undefined, this.#config.maxInputBytes, signal);
    return 'bytes' in picture ? picture.bytes : Buffer.alloc(0);
  }

  /** @throws JobError */
  async process(job: Job, bytes: Buffer, signal: AbortSignal): Promise<Processed> {
    const context = new JobContext(signal, 0);
    const state = new JobState(
      job,
      context,
      { models: this.#models, schedule: this.#share.scheduler(job) },
      {
        maxInputPixels: this.#config.maxInputPixels,
        maxOutputPixels: this.#config.maxOutputPixels,
        route: () => ({ routes: this.#routes, waitMs: this.#waitMs }),
        predict: (model, version) => ({ ...this.#costs.costOf(model, version), jobsAtOnce: this.#active }),
        reserve: this.#budget.reserve,
        codecs: this.#codecs.codecs,
        turbo: this.#turbo,
      },
    );
    state.bytes = bytes;
    this.#active++;
    try {
      await runSteps(localSteps(job), state);
    } finally {
      this.#active--;
    }
    const { warnings, steps } = context;
    return { encoded: state.encoded, format: state.format, warnings, steps, totalMs: context.timings().total };
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}

const settingsIn = (env: NodeJS.ProcessEnv) => readConfig(env, LOCAL_SETTINGS);

/** @param format that the name of the result says. @throws UsageError */
export function localJob(flags: RenderFlags, format?: NonNullable<JobMessage['output']>['format']): Job {
  const output = { ...(format === undefined ? {} : { format }), ...outputOf(flags) };
  checkQuality(output);
  return checkedJob({
    jobId: 'local',
    operations: operationsOf(flags),
    input: { uri: 'gs://local/file' },
    output,
    priority: 'interactive',
  });
}

/** `enhance@1 (tile, 4)` */
export const stepInWords = ({ model, servedVersion, plan, requests }: Step): string =>
  `${model}@${servedVersion} (${plan}, ${requests})`;
