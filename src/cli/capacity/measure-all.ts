/** Measures version after version on the user's Triton, one at a time. */
import { availableParallelism } from 'node:os';
import { connectTriton, type Triton } from '../../adapters/triton/server.js';
import { reachTriton } from '../reach.js';
import type { Carrier } from '../../adapters/triton/transport.js';
import type { Config } from '../../config/index.js';
import { packageVersion } from '../../config/version.js';
import { capacityOf } from '../../domain/capacity.js';
import { JobError } from '../../domain/errors.js';
import type { OutputFormat } from '../../domain/job.js';
import type { Size } from '../../domain/raster.js';
import { NO_ROUTES } from '../../domain/routes.js';
import { DEFAULT_COST } from '../../pipeline/cost.js';
import { route } from '../../pipeline/route.js';
import { turboFor } from '../../pipeline/jpeg/turbo.js';
import { createFairShare } from '../../scheduling/fair-share.js';
import { type MeasureOptions, type MeasureParts, VersionMeter } from './measure.js';
import { labelOf, notesOf } from './notes.js';
import { isComplete, type RanOn, type Report, type SizeReport, type VersionReport } from './report.js';

/** The worker's settings that decide what a worker reaches. */
export const MEASURE_SETTINGS = [
  'tritonUrl',
  'tritonTransport',
  'maxJobs',
  'maxInputPixels',
  'maxOutputPixels',
  'maxDecodedBytes',
  'modelWaitSeconds',
  'inferenceTimeoutSeconds',
  'inferenceAttempts',
  'poolThreads',
  'jpegCodec',
] as const;
type MeasureConfig = Pick<Config, (typeof MEASURE_SETTINGS)[number]>;

export interface Asked {
  /** Names; undefined for all models that Triton serves. */
  readonly models: readonly string[] | undefined;
  /** Numbers; undefined for all versions. */
  readonly versions: readonly string[] | undefined;
  readonly sizes: readonly Size[];
  /** Time for each version and size. */
  readonly seconds: number;
  readonly format: OutputFormat | undefined;
  /** Of a GPU for an hour. */
  readonly price: number | undefined;
}

interface Target {
  readonly model: string;
  /** Undefined if the model is not served, so that its versions are not known. */
  readonly version: string | undefined;
}

/** Versions that were measured, for what the schedulers know of their costs. */
type Meters = Map<string, VersionMeter>;

/**
 * If the signal fires, the report has what was measured until then.
 * @param say called with a line about what is measured now
 * @throws CommandFailed if Triton does not answer at the start; the signal's reason if it fires before
 */
export async function measureAll(
  asked: Asked,
  config: MeasureConfig,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<Report> {
  const carriers = new Set<Carrier>();
  const models = connectTriton({
    ...{ url: config.tritonUrl, transport: config.tritonTransport },
    inferTimeoutMs: config.inferenceTimeoutSeconds * 1000,
    onAttempt: ({ carrier }) => carrier && carriers.add(carrier),
  });
  try {
    await reachTriton(models, config.tritonUrl);
    const { version, local } = await models.about([], signal);
    const meters: Meters = new Map();
    const share = createFairShare({
      capacityOf: (model) => capacityOf(models.contracts().get(model)),
      costOf: (model, version) => meters.get(labelOf({ model, version }))?.cost() ?? DEFAULT_COST,
      retry: { unavailableMs: config.modelWaitSeconds * 1000, failedAttempts: config.inferenceAttempts },
    });
    const versions: VersionReport[] = [];
    const options = optionsOf(asked, config);
    for (const target of targetsOf(asked, models)) {
      if (signal.aborted) break;
      const parts = { models, share, meters };
      versions.push(await measureVersion(target, asked.sizes, parts, options, signal, say));
    }
    const ranOn: RanOn = {
      triton: { url: config.tritonUrl, version, onThisMachine: local },
      ...{ transport: [...carriers], imagen: packageVersion(), node: process.versions.node },
      ...{ processors: availableParallelism(), poolThreads: config.poolThreads, maxJobs: config.maxJobs },
      jpegLibrary: options.turbo ? 'libjpeg-turbo' : 'sharp',
    };
    const stopped = signal.aborted ? ['Stopped by a signal: the rest was not measured.'] : [];
    const unready = asked.models ? new Map<string, string>() : models.unready();
    const complete = !signal.aborted && isComplete(versions);
    return { complete, ranOn, versions, notes: [...stopped, ...notesOf(ranOn, versions, unready)] };
  } finally {
    await models.close();
  }
}

function optionsOf({ seconds, format, price }: Asked, config: MeasureConfig): MeasureOptions {
  const { maxJobs, maxInputPixels, maxOutputPixels, maxDecodedBytes, poolThreads } = config;
  return {
    ...{ forMs: seconds * 1000, maxJobs },
    ...{ maxInputPixels, maxOutputPixels, maxDecodedBytes, poolThreads, turbo: turboFor(config.jpegCodec) },
    ...(format === undefined ? {} : { format }),
    ...(price === undefined ? {} : { price }),
  };
}

/** @returns the versions to measure; all that a model has, unless some were asked for */
function targetsOf({ models, versions }: Asked, triton: Triton): Target[] {
  const contracts = triton.contracts();
  return (models ?? [...contracts.keys()].sort()).flatMap((model): Target[] => {
    const served = [...(contracts.get(model)?.versions.keys() ?? [])];
    if (served.length === 0) return [{ model, version: undefined }];
    // Without a name, models that do not have the version are not meant.
    const wanted = models ? versions : versions?.filter((version) => served.includes(version));
    return (wanted ?? served).map((version) => ({ model, version }));
  });
}

async function measureVersion(
  { model, version }: Target,
  sizes: readonly Size[],
  { models, share, meters }: MeasureParts & { readonly models: Triton; readonly meters: Meters },
  options: MeasureOptions,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<VersionReport> {
  const measured: SizeReport[] = [];
  const target = { model, ...(version === undefined ? {} : { version }) };
  try {
    const [routed] = await route([target], models, { routes: NO_ROUTES, waitMs: 0 }, signal);
    if (!routed) throw new Error('expected a route for one operation, given none');
    const placement = (await models.about([model], signal)).placements.get(model) ?? { device: 'auto', gpus: 0 };
    const meter = new VersionMeter({ models, share }, routed, placement, options);
    meters.set(labelOf(target), meter);
    for (const size of sizes) {
      if (signal.aborted) break;
      say(`measuring ${labelOf(target)} with ${size.width}x${size.height}`);
      const report = await meter.measure(size, signal);
      if (report) measured.push(report);
    }
    const cost = meter.cost();
    const { instances, maxBatchSize, output } = routed.model;
    return {
      ...{ ...target, ...placement, instances, maxBatchSize, output },
      ...(cost
        ? { cost: { launchMs: cost.fixed, perMegapixelMs: cost.perPixel * 1e6, worstError: cost.worstError } }
        : {}),
      sizes: measured,
    };
  } catch (thrown) {
    if (signal.aborted) return { ...target, sizes: measured };
    const { code, message } = JobError.from(thrown, 'infer');
    return { ...target, sizes: measured, error: { code, message } };
  }
}
