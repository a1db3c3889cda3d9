/** Measures one version of a model: what its executions cost, and what one worker's pipeline reaches. */
import { availableParallelism } from 'node:os';
import type { Placement } from '../../adapters/triton/about.js';
import { capacityOf } from '../../domain/capacity.js';
import { JobError } from '../../domain/errors.js';
import { type Job, type OutputFormat, parseJob } from '../../domain/job.js';
import type { ModelServer } from '../../domain/ports.js';
import type { Size } from '../../domain/raster.js';
import { type Cost, chooseShape, DEFAULT_COST, type Outlook } from '../../pipeline/cost.js';
import { JobContext } from '../../pipeline/job-context.js';
import { JobState, type RenderOptions } from '../../pipeline/job-state.js';
import type { TurboJpeg } from '../../pipeline/jpeg/turbo.js';
import { planJob } from '../../pipeline/plan.js';
import type { Shape } from '../../pipeline/plans/plan.js';
import type { Routed } from '../../pipeline/routed.js';
import { renderSteps, runSteps } from '../../pipeline/run.js';
import { createBudget } from '../../scheduling/budget.js';
import { codecSlots, createCodecs } from '../../scheduling/codecs.js';
import type { FairShare } from '../../scheduling/fair-share.js';
import { closedLoop } from './closed-loop.js';
import { batchesBetween, type FittedCost, fitCost, type Observed } from './costs.js';
import { type Executions, measureExecutions, readVersion } from './executions.js';
import { randomPicture } from './pictures.js';
import type { SizeMeasured, SizeReport } from './report.js';
import { type Flow, jobsToKeepBusy, sizing, type WorkerFigures } from './sizing.js';

export interface MeasureOptions {
  /** Time for each size, in milliseconds. */
  readonly forMs: number;
  /** Most jobs in work at once. */
  readonly maxJobs: number;
  readonly maxInputPixels: number;
  readonly maxOutputPixels: number;
  readonly maxDecodedBytes: number;
  readonly poolThreads: number;
  readonly turbo?: TurboJpeg | undefined;
  readonly format?: OutputFormat;
  /** Price of a GPU for an hour. */
  readonly price?: number;
}

export interface MeasureParts {
  readonly models: ModelServer;
  readonly share: FairShare;
}

/** Share of the time in which executions are measured. The rest is the pipeline's. */
const EXECUTIONS_SHARE = 1 / 3;
/** Different pictures of each size. */
const PICTURES = 4;

/** Measures one version, size after size. What it learns about the cost serves the sizes that follow. */
export class VersionMeter {
  readonly #observed: Observed[] = [];

  constructor(
    private readonly parts: MeasureParts,
    private readonly routed: Routed,
    private readonly placement: Placement,
    private readonly options: MeasureOptions,
  ) {}

  /** Undefined as long as the batches do not tell the launch and the pixels apart. */
  cost(): FittedCost | undefined {
    return fitCost(this.#observed);
  }

  /** Never throws: errors are in the report. @returns undefined if the signal fires before the end */
  async measure(size: Size, signal: AbortSignal): Promise<SizeReport | undefined> {
    try {
      return { ...size, ...(await this.#measured(size, signal)) };
    } catch (thrown) {
      if (signal.aborted) return undefined;
      const { code, message } = JobError.from(thrown, 'infer');
      return { ...size, error: { code, message } };
    }
  }

  async #measured(size: Size, signal: AbortSignal): Promise<SizeMeasured> {
    const { routed, options } = this;
    const job = jobOf(routed, options.format);
    const [planned] = planJob(job, size, [routed], options.maxOutputPixels).steps;
    if (!planned) throw new Error('expected a plan for one operation, given none');
    const { shape, executions } = await this.#execute(planned.shapes, signal);
    const cost = this.cost() ?? DEFAULT_COST;
    const fullest = executions.batches.at(-1);
    const msPerRequest = fullest ? fullest.meanMs / fullest.batchSize / Math.max(1, routed.model.instances) : 0;
    const flow = { requests: shape.requests, jobMs: shape.requests * msPerRequest };
    const worker = await this.#pipeline(job, size, flow, cost, signal);
    const { instances } = routed.model;
    const where = { instances, gpus: Math.max(1, this.placement.gpus), processors: availableParallelism() };
    const figures = sizing(executions.batches, shape.requests, worker, where, options.price);
    return {
      ...{
        plan: shape.plan,
        requests: shape.requests,
        window: { width: shape.width, height: shape.height },
        executions,
      },
      ...(worker ? { worker } : {}),
      ...(figures ? { sizing: figures } : {}),
    };
  }

  /** Measures the shape that the costs make best. If they then make another one best, it measures that as well. */
  async #execute(shapes: readonly Shape[], signal: AbortSignal) {
    const measured = new Map<Shape, Executions>();
    for (;;) {
      const outlook = { ...(this.cost() ?? DEFAULT_COST), jobsAtOnce: this.options.maxJobs };
      const shape = chooseShape(shapes, outlook, this.routed.model.maxBatchSize);
      const known = measured.get(shape);
      if (known) return { shape, executions: known };
      const until = performance.now() + this.options.forMs * EXECUTIONS_SHARE;
      const executions = await measureExecutions(this.parts, this.routed, shape, until, signal);
      const pixels = shape.width * shape.height;
      this.#observed.push(...executions.batches.map((batch) => ({ ...batch, pixels })));
      measured.set(shape, executions);
    }
  }

  /** @returns undefined if no job ends in the time */
  async #pipeline(
    job: Job,
    size: Size,
    flow: Pick<Flow, 'requests' | 'jobMs'>,
    cost: Cost,
    signal: AbortSignal,
  ): Promise<WorkerFigures | undefined> {
    const { parts, routed, options } = this;
    const slots = codecSlots(options.poolThreads, availableParallelism());
    const forMs = options.forMs * (1 - EXECUTIONS_SHARE);
    const { inFlight } = capacityOf(routed.model);
    const jobsInFlight = jobsToKeepBusy({ ...flow, inFlight, slots, most: options.maxJobs, forMs });
    if (jobsInFlight === 0) return undefined;
    const pictures = await Promise.all(Array.from({ length: PICTURES }, () => randomPicture(size)));
    const render = this.#renderOptions({ ...cost, jobsAtOnce: options.maxJobs }, slots);
    let begun = 0;
    const runJob = async (until: AbortSignal) => {
      const own = { ...job };
      const schedule = parts.share.scheduler(own);
      const state = new JobState(own, new JobContext(until, 0), { models: parts.models, schedule }, render);
      state.routed = [routed];
      state.bytes = pictures[begun++ % PICTURES] ?? Buffer.alloc(0);
      await runSteps(renderSteps(own), state);
    };
    const { model, version } = routed;
    const counts: Awaited<ReturnType<typeof readVersion>>[] = [];
    const loop = { jobsInFlight, forMs, signal };
    const { jobs, seconds, cpuMs, mainThreadMs } = await closedLoop(runJob, loop, async () => {
      counts.push(await readVersion(parts.models, model.model, version, signal));
    });
    if (jobs === 0) return undefined;
    const [before, after] = counts;
    const busyMs = after ? batchesBetween(before, after).reduce((sum, one) => sum + one.executions * one.meanMs, 0) : 0;
    return {
      ...{ jobsInFlight, jobs, seconds, jobsPerSecond: jobs / seconds, cpuMsPerJob: cpuMs / jobs },
      mainThreadMsPerJob: mainThreadMs / jobs,
      busy: Math.min(1, busyMs / (seconds * 1000 * Math.max(1, model.instances))),
    };
  }

  #renderOptions(outlook: Outlook, slots: number): RenderOptions {
    const { maxInputPixels, maxOutputPixels, maxDecodedBytes, turbo } = this.options;
    return {
      ...{ maxInputPixels, maxOutputPixels },
      route: () => {
        throw new Error('the operation is routed already');
      },
      predict: () => outlook,
      reserve: createBudget(maxDecodedBytes).reserve,
      codecs: createCodecs(slots).codecs,
      turbo,
    };
  }
}

/** A job as a publisher would send it, with the one operation. */
function jobOf({ model: { model }, version }: Routed, format: OutputFormat | undefined): Job {
  const message = {
    jobId: 'capacity',
    operations: [{ model, version }],
    input: { uri: 'gs://local/file' },
    output: format === undefined ? {} : { format },
    priority: 'batch',
  };
  return parseJob(Buffer.from(JSON.stringify(message)));
}
