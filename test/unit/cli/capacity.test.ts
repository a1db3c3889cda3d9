import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { capacityCommand } from '../../../src/cli/capacity.js';
import { closedLoop } from '../../../src/cli/capacity/closed-loop.js';
import { batchesBetween, fitCost, mergeBatches } from '../../../src/cli/capacity/costs.js';
import { groupSizes } from '../../../src/cli/capacity/executions.js';
import { notesOf } from '../../../src/cli/capacity/notes.js';
import { parseSizes, randomPicture } from '../../../src/cli/capacity/pictures.js';
import { isComplete, type RanOn, type VersionReport } from '../../../src/cli/capacity/report.js';
import { jobsToKeepBusy, sizing, type WorkerFigures } from '../../../src/cli/capacity/sizing.js';
import { reportText, short } from '../../../src/cli/capacity/table.js';

const never = new AbortController().signal;

describe('the models and versions to measure', () => {
  const asked = (...flags: string[]) => {
    const command = capacityCommand({ env: {}, exitCode: 0 })
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    const { operands, unknown } = command.parseOptions(flags);
    expect([...operands, ...unknown]).toEqual([]);
    return command.opts();
  };

  it('are each measured once, whatever is between the commas', () => {
    expect(asked('-m', 'enhance,,upscale, enhance', '-m', 'upscale', '--version', '1,1,')).toMatchObject({
      model: ['enhance', 'upscale'],
      version: ['1'],
    });
  });

  it.each(['', ',', ' , '])('are refused where none is named: %j', (text) => {
    expect(() => asked('-m', text)).toThrow('Expected names, separated by commas.');
  });
});

describe('the sizes to measure', () => {
  it('takes sides, and megapixels as a picture of 4:3', () => {
    expect(parseSizes('640x480, 12,0.3MP,.03mp', 1e9)).toEqual([
      { width: 640, height: 480 },
      { width: 4000, height: 3000 },
      { width: 632, height: 474 },
      { width: 200, height: 150 },
    ]);
  });

  it('takes each size once', () => {
    expect(parseSizes('64x64,12,64X64,4000x3000', 1e9)).toEqual([
      { width: 64, height: 64 },
      { width: 4000, height: 3000 },
    ]);
  });

  it.each(['', '0', '0x5', '640x480,', '70000x1', 'big', '-1', '1e3', '640x480x3'])(
    'refuses %j and says what was expected',
    (text) => expect(() => parseSizes(text, 1e9)).toThrow(/--sizes: expected sizes such as 1920x1080 or 2.1MP/),
  );

  it('refuses a picture that the worker would refuse', () => {
    expect(() => parseSizes('640', 1e8)).toThrow(
      /at most (100000000 pixels \(IMAGEN_MAX_INPUT_PIXELS\)|65500 pixels a side)/,
    );
    expect(() => parseSizes('1000x1001', 1e6)).toThrow(
      /at most 1000000 pixels \(IMAGEN_MAX_INPUT_PIXELS\), given 1000x1001/,
    );
  });

  it('makes pictures of that size, as large as files of photographs', async () => {
    const [one, other] = await Promise.all([
      randomPicture({ width: 800, height: 601 }),
      randomPicture({ width: 800, height: 601 }),
    ]);
    expect(await sharp(one).metadata()).toMatchObject({ format: 'jpeg', width: 800, height: 601, channels: 3 });
    expect(one.length / (800 * 601)).toBeGreaterThan(0.1);
    expect(one.length / (800 * 601)).toBeLessThan(0.4);
    expect(one.equals(other)).toBe(false);
  });

  it('makes the smallest picture', async () => {
    expect(await sharp(await randomPicture({ width: 1, height: 1 })).metadata()).toMatchObject({ width: 1, height: 1 });
  });
});

describe('the cost of executions', () => {
  const at = (batchSize: number, pixels: number, meanMs: number, executions = 1) => ({
    batchSize,
    pixels,
    meanMs,
    executions,
  });

  it('is what was computed between two reads', () => {
    const batch = (batchSize: number, executions: number, meanMs: number) => ({ batchSize, executions, meanMs });
    const before = { version: '1', requests: 9, batches: [batch(1, 1, 10), batch(8, 1, 50)] };
    const after = { version: '1', requests: 22, batches: [batch(1, 1, 10), batch(4, 1, 30), batch(8, 2, 45)] };
    expect(batchesBetween(before, after)).toEqual([batch(4, 1, 30), batch(8, 1, 40)]);
    expect(batchesBetween(undefined, before)).toEqual(before.batches);
    expect(batchesBetween(after, before)).toEqual([]);
  });

  it('adds up executions on one batch size', () => {
    expect(mergeBatches([at(8, 1, 40, 1), at(1, 1, 10, 2), at(8, 1, 50, 3)])).toEqual([
      { batchSize: 1, executions: 2, meanMs: 10 },
      { batchSize: 8, executions: 4, meanMs: 47.5 },
    ]);
  });

  it.each([
    [10, 20],
    [0, 20],
    [45, 0],
    [0.2, 0.001],
  ])('finds a launch of %d ms and %d ms a megapixel', (launch, perMegapixel) => {
    const observed = [1, 2, 4, 8].flatMap((batch) =>
      [65_536, 300_000].map((pixels) => at(batch, pixels, launch + (perMegapixel * batch * pixels) / 1e6)),
    );
    const cost = fitCost(observed);
    expect(cost?.fixed).toBeCloseTo(launch, 6);
    expect((cost?.perPixel ?? NaN) * 1e6).toBeCloseTo(perMegapixel, 6);
    expect(cost?.worstError).toBeCloseTo(0, 6);
  });

  it('is never negative, and tells how far it is from the measurements', () => {
    const shrinking = fitCost([at(1, 1e6, 20), at(8, 1e6, 10)]);
    expect(shrinking).toMatchObject({ perPixel: 0 });
    expect(shrinking?.worstError).toBeGreaterThan(0.2);
    const steep = fitCost([at(1, 1e6, 1), at(2, 1e6, 10)]);
    expect(steep).toMatchObject({ fixed: 0 });
    expect(steep?.perPixel).toBeGreaterThan(0);
  });

  it('counts errors relative to the time, and each execution', () => {
    const [once, often] = [1, 9].map((executions) =>
      fitCost([at(1, 100, 10), at(1, 200, 20, executions), at(1, 200, 30)]),
    );
    expect((often?.fixed ?? 0) + 200 * (often?.perPixel ?? 0)).toBeLessThan(
      (once?.fixed ?? 0) + 200 * (once?.perPixel ?? 0),
    );
  });

  it('is unknown if all batches had the same pixels', () => {
    expect(fitCost([])).toBeUndefined();
    expect(fitCost([at(8, 100, 10), at(4, 200, 11)])).toBeUndefined();
  });
});

it('sends groups of up to a batch, and two full batches, for each instance', () => {
  expect(groupSizes(8, 1)).toEqual([1, 2, 4, 8, 16]);
  expect(groupSizes(6, 1)).toEqual([1, 2, 4, 6, 12]);
  expect(groupSizes(1, 1)).toEqual([1, 2]);
  expect(groupSizes(2, 3)).toEqual([3, 6, 12]);
});

const WORKER: WorkerFigures = {
  ...{ jobsInFlight: 19, jobs: 100, seconds: 5, jobsPerSecond: 20, cpuMsPerJob: 60, mainThreadMsPerJob: 10, busy: 0.5 },
};
const WHERE = { instances: 1, gpus: 1, processors: 2 };

describe('the size of a deployment', () => {
  const batches = [
    { batchSize: 1, executions: 3, meanMs: 15 },
    { batchSize: 8, executions: 3, meanMs: 50 },
  ];

  it('takes the fullest batch for what a GPU does', () => {
    expect(sizing(batches, 1, undefined, WHERE)).toEqual({ jobsPerSecondPerGpu: 160, imagesPerGpuHour: 576_000 });
    expect(sizing(batches, 4, undefined, WHERE)?.jobsPerSecondPerGpu).toBe(40);
    expect(sizing(batches, 1, undefined, { ...WHERE, instances: 2 })?.jobsPerSecondPerGpu).toBe(320);
    expect(sizing(batches, 1, undefined, { ...WHERE, instances: 4, gpus: 4 })?.jobsPerSecondPerGpu).toBe(160);
  });

  it('tells the cost of a thousand images', () => {
    expect(sizing(batches, 1, undefined, WHERE, 0.576)?.costPerThousand).toBeCloseTo(0.001);
  });

  it('has no figures where nothing was executed', () => expect(sizing([], 1, WORKER, WHERE)).toBeUndefined());

  it('needs as many workers as reach what the GPU does, if the worker was the limit', () => {
    expect(sizing(batches, 1, WORKER, WHERE)?.worker).toEqual({
      limit: 'worker',
      workersPerGpu: 8,
      processorsPerGpu: 9.6,
    });
  });

  it('says nothing about workers if neither was the limit', () => {
    const idle = { ...WORKER, cpuMsPerJob: 4, mainThreadMsPerJob: 1 };
    expect(sizing(batches, 1, idle, WHERE)?.worker).toEqual({ limit: 'neither', processorsPerGpu: 0.64 });
    const onMainThread = { ...idle, mainThreadMsPerJob: 30 };
    expect(sizing(batches, 1, onMainThread, WHERE)?.worker).toMatchObject({ limit: 'worker', workersPerGpu: 8 });
  });

  it.each([
    ['its processors', { cpuMsPerJob: 4, mainThreadMsPerJob: 1 }, 0.32],
    ['its main thread', { cpuMsPerJob: 4, mainThreadMsPerJob: 3 }, 0.48],
  ])('says what of a worker is left, by %s, if Triton was the limit', (_, used, workersPerGpu) => {
    const busy = { ...WORKER, ...used, jobsPerSecond: 150, busy: 0.97 };
    expect(sizing(batches, 1, busy, WHERE)?.worker).toMatchObject({
      ...{ limit: 'triton', workersPerGpu: expect.closeTo(workersPerGpu) as number },
    });
  });

  it.each([
    ['as many as fill the model and the codecs', { most: 100 }, 35],
    ['fewer where jobs have several requests', { requests: 9 }, 7],
    ['no more than fill the codecs where jobs have many', { requests: 512 }, 4],
    ['no more than a worker has', {}, 32],
    ['fewer where they would not end in time', { jobMs: 500 }, 4],
    ['one where a job takes most of the time', { jobMs: 5000 }, 1],
    ['none where no job would end', { jobMs: 7000 }, 0],
  ])('keeps in flight %s', (_, flow, jobs) => {
    const usual = { inFlight: 16, requests: 1, slots: 3, most: 32, jobMs: 5, forMs: 6000 };
    expect(jobsToKeepBusy({ ...usual, ...flow })).toBe(jobs);
  });
});

describe('the closed loop', () => {
  const pause = (ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
    });

  it('keeps that many jobs in flight and counts those that end', async () => {
    let [now, most] = [0, 0];
    const job = async (signal: AbortSignal) => {
      most = Math.max(most, ++now);
      await pause(20, signal).finally(() => now--);
    };
    const figures = await closedLoop(job, { jobsInFlight: 4, forMs: 600, signal: never });
    expect(most).toBe(4);
    expect(now).toBe(0);
    const perSecond = figures.jobs / figures.seconds;
    expect(perSecond).toBeGreaterThan(100);
    expect(perSecond).toBeLessThan(210);
    expect(figures.mainThreadMs).toBeLessThan(figures.seconds * 1000);
  });

  it('aborts what is running at the end, and counts nothing of it', async () => {
    const figures = await closedLoop((signal) => pause(60_000, signal), { jobsInFlight: 2, forMs: 60, signal: never });
    expect(figures.jobs).toBe(0);
  });

  it('ends with the error of a job, and aborts the others', async () => {
    let aborted = 0;
    let begun = 0;
    const job = (signal: AbortSignal) =>
      begun++ === 1
        ? Promise.reject(new Error('no'))
        : pause(60_000, signal).catch(() => {
            aborted++;
          });
    await expect(closedLoop(job, { jobsInFlight: 3, forMs: 60_000, signal: never })).rejects.toThrow('no');
    expect(aborted).toBe(2);
  });

  it("ends with the signal's reason", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('stopped')), 30);
    const run = closedLoop((signal) => pause(60_000, signal), { jobsInFlight: 3, forMs: 60_000, signal: stop.signal });
    await expect(run).rejects.toThrow('stopped');
  });
});

describe('the report', () => {
  const ranOn: RanOn = {
    triton: { url: 'triton:8001', version: '2.51.0', onThisMachine: false },
    ...{ transport: ['unary'], imagen: '0.1.0', node: '20.0.0', processors: 2, poolThreads: 8, maxJobs: 32 },
    jpegLibrary: 'libjpeg-turbo',
  };
  const executions = {
    batches: [{ batchSize: 8, executions: 3, meanMs: 50 }],
    groups: [{ requests: 8, times: 3, meanMs: 60 }],
    ...{ answered: 24, counted: 24 },
  };
  const size = {
    ...{
      width: 640,
      height: 480,
      plan: 'whole' as const,
      requests: 1,
      window: { width: 640, height: 480 },
      executions,
    },
    worker: WORKER,
  };
  const gpu: VersionReport = {
    ...{
      model: 'background_remove',
      version: '1',
      device: 'gpu',
      gpus: 1,
      instances: 1,
      maxBatchSize: 8,
      output: 'image',
    },
    cost: { launchMs: 10.04, perMegapixelMs: 16.3, worstError: 0.021 },
    sizes: [{ ...size, sizing: sizing(executions.batches, 1, WORKER, WHERE, 0.5) ?? expect.fail() }],
  };
  const told = (version: Partial<VersionReport>, more: Partial<RanOn> = {}) =>
    notesOf({ ...ranOn, ...more }, [{ ...gpu, ...version }], new Map()).join('\n');

  it('is complete if all versions and sizes were measured', () => {
    const error = { code: 'OUTPUT_TOO_LARGE', message: 'too large' } as const;
    expect(isComplete([gpu])).toBe(true);
    expect(isComplete([gpu, { model: 'x', sizes: [], error }])).toBe(false);
    expect(isComplete([{ ...gpu, sizes: [...gpu.sizes, { width: 1, height: 1, error }] }])).toBe(false);
    expect(isComplete([{ ...gpu, sizes: [{ ...size, worker: undefined } as never] }])).toBe(false);
  });

  it('always says what was not measured', () => {
    expect(told({})).toMatch(/Not measured: Pub\/Sub and Cloud Storage/);
    expect(told({})).toMatch(/network .* was not measured/);
    expect(told({})).not.toMatch(/CPU|whether|replicas|others|share processors|UV_|sharp/);
  });

  it.each<[string, RegExp, Partial<VersionReport>, Partial<RanOn>]>([
    ['a model on CPU is no figure for a GPU', /background_remove@1.* no figure for a GPU/, { device: 'cpu' }, {}],
    ['the place is unknown', /does not say whether .* GPU: background_remove@1/, { device: 'auto' }, {}],
    ['masks of random pictures are costly', /mask .*background_remove@1/, { output: 'mask' }, {}],
    ['the pool is smaller than in the image', /UV_THREADPOOL_SIZE is 4 here and 8/, {}, { poolThreads: 4 }],
    ['sharp took the time', /by sharp.* libjpeg-turbo/, {}, { jpegLibrary: 'sharp' }],
    ['Triton is near', /share processors/, {}, { triton: { ...ranOn.triton, onThisMachine: true } }],
    [
      'others use the model',
      /counted 48 requests where this command sent 24: others/,
      { sizes: [{ ...size, executions: { ...executions, counted: 48 } }] },
      {},
    ],
    [
      'there are replicas',
      /counted 12 of 24 requests: there are several replicas/,
      { sizes: [{ ...size, executions: { ...executions, counted: 12 } }] },
      {},
    ],
  ])('says that %s', (_, text, version, place) => expect(told(version, place)).toMatch(text));

  it('names models that are not ready', () => {
    expect(notesOf(ranOn, [], new Map([['slow', 'not loaded']]))).toContain(
      'Not ready, so not measured: slow: not loaded',
    );
  });

  it('shows the figures within 120 columns', () => {
    const text = reportText({ complete: true, ranOn, versions: [gpu], notes: notesOf(ranOn, [gpu], new Map()) });
    expect(text).toMatch(/background_remove@1 +GPU +1 +8 +10 +16\.3 +2 %/);
    expect(text).toMatch(/background_remove@1 +640x480 +1 whole +8 +50 +160 +20 +60 +8 +576000 +0\.000868/);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  it('tells each failure with its place', () => {
    const error = { code: 'OUTPUT_TOO_LARGE', message: 'too large' } as const;
    const idle = {
      jobsPerSecondPerGpu: 160,
      imagesPerGpuHour: 576_000,
      worker: { limit: 'neither', processorsPerGpu: 1 },
    } as const;
    const failed: VersionReport[] = [
      {
        ...gpu,
        sizes: [{ width: 9, height: 9, error }, { ...size, sizing: idle }, { ...size, worker: undefined } as never],
      },
      { model: 'nobody', sizes: [], error: { code: 'UNKNOWN_MODEL', message: 'model nobody' } },
    ];
    const text = reportText({ complete: false, ranOn, versions: failed, notes: [] });
    expect(text).toContain('background_remove@1, 9x9: OUTPUT_TOO_LARGE: too large');
    expect(text).toContain('background_remove@1, 640x480: neither Triton nor the worker was busy');
    expect(text).toContain('background_remove@1, 640x480: no job of a worker ends in the time');
    expect(text).toContain('nobody: UNKNOWN_MODEL: model nobody');
  });

  it.each([
    [0, '0'],
    [0.0000241, '0.000024'],
    [0.5, '0.5'],
    [12.345, '12.3'],
    [100, '100'],
    [999.6, '1000'],
    [21_095_611, '21095611'],
  ])('writes %d as %s', (value, text) => expect(short(value)).toBe(text));
});
