import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Capacity } from '../../../src/domain/capacity.js';
import { JobError } from '../../../src/domain/errors.js';
import type { Size } from '../../../src/domain/raster.js';
import type { PlannedRequest, Turn } from '../../../src/pipeline/transform.js';
import { createFairShare, type FairShare, type FairShareOptions } from '../../../src/scheduling/fair-share.js';

/** A task that runs until it is told to end, and writes down when it began and in which window. */
function task(log: string[], name: string) {
  let end: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (end = resolve));
  const run = ({ width, height }: Size) => {
    log.push(name);
    windows.set(name, `${width}x${height}`);
    return done;
  };
  return { run, end: () => end() };
}
const windows = new Map<string, string>();
const settled = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;
const inFlight = (shared: FairShare) => shared.load().reduce((sum, one) => sum + one.inFlight, 0);

const share = (
  capacity: (model: string) => Pick<Capacity, 'inFlight' | 'batch'> & Partial<Capacity>,
  more: Partial<FairShareOptions> = {},
) =>
  createFairShare({
    capacityOf: (model) => {
      const given = capacity(model);
      const runs = Math.ceil(given.inFlight / given.batch);
      return { runs, instances: runs, growMs: Infinity, pauseMs: 0, ...given };
    },
    ...{ costOf: () => ({ fixed: 10_000, perPixel: 1 }) },
    ...{ retry: { unavailableMs: 0, failedAttempts: 1 }, ...more },
  });
const planned = (width: number, height = width, more: Partial<PlannedRequest> = {}): PlannedRequest => ({
  ...{ model: 'm', version: '1', priority: 'batch', shape: { width, height }, ...more },
});
const padded = (width: number, height: number, more: Partial<PlannedRequest> = {}): PlannedRequest =>
  planned(width, height, { shape: { width, height, mayGrow: true, runPixels: 1_000_000 }, ...more });

describe('createFairShare', () => {
  it('sends the run behind when half of the execution in front of it is left, or when that has ended', async () => {
    vi.useFakeTimers();
    try {
      const costOf = () => ({ inMs: true, fixed: 200, perPixel: 0 });
      const shared = share(() => ({ inFlight: 3, batch: 1, runs: 2, instances: 1 }), { costOf });
      const log: string[] = [];
      const tasks = ['first', 'second', 'third'].map((name) => task(log, name));
      const running = tasks.map(({ run }) => shared.scheduler({})(planned(8), run, never));
      await vi.advanceTimersByTimeAsync(90);
      expect(log).toEqual(['first']);
      await vi.advanceTimersByTimeAsync(20);
      expect(log).toEqual(['first', 'second']);
      tasks[0]?.end();
      tasks[1]?.end();
      await vi.advanceTimersByTimeAsync(0);
      expect(log).toEqual(['first', 'second', 'third']);
      tasks[2]?.end();
      await Promise.all(running);
    } finally {
      vi.useRealTimers();
    }
  });

  it('gives jobs their turns one request at a time', async () => {
    const shared = share(() => ({ inFlight: 1, batch: 1 }));
    const log: string[] = [];
    const large = shared.scheduler({});
    const small = shared.scheduler({});
    const tasks = ['L1', 'L2', 'L3'].map((name) => task(log, name));
    const running = tasks.map(({ run }) => large(planned(8), run, never));
    const thumbnail = task(log, 'S1');
    running.push(small(planned(8), thumbnail.run, never));
    for (const { end } of [...tasks.slice(0, 2), thumbnail, ...tasks.slice(2)]) {
      await settled();
      end();
    }
    await Promise.all(running);
    expect(log).toEqual(['L1', 'L2', 'S1', 'L3']);
  });

  it('keeps to the limit of each model and lets models go their own ways', async () => {
    const shared = share((model) => ({ inFlight: model === 'slow' ? 1 : 2, batch: 1 }));
    const log: string[] = [];
    const schedule = shared.scheduler({});
    const tasks = ['s1', 's2', 'q1', 'q2', 'q3'].map((name) => task(log, name));
    const running = tasks.map(({ run }, i) => schedule(planned(8, 8, { model: i < 2 ? 'slow' : 'quick' }), run, never));
    await settled();
    expect(log).toEqual(['s1', 'q1', 'q2']);
    expect(shared.load()).toEqual([
      { model: 'slow', version: '1', inFlight: 1, limit: 1, waiting: 1 },
      { model: 'quick', version: '1', inFlight: 2, limit: 2, waiting: 1 },
    ]);
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
    expect(shared.load()).toEqual([
      { model: 'slow', version: '1', inFlight: 0, limit: 1, waiting: 0 },
      { model: 'quick', version: '1', inFlight: 0, limit: 2, waiting: 0 },
    ]);
  });

  it('forgets a task whose job is over before its turn, and frees the place of one that failed', async () => {
    const shared = share(() => ({ inFlight: 1, batch: 1 }));
    const log: string[] = [];
    const first = task(log, 'first');
    const running = shared.scheduler({})(planned(8), first.run, never);
    const gone = new AbortController();
    const waiting = shared.scheduler({})(planned(8), task(log, 'gone').run, gone.signal);
    const failing = shared.scheduler({})(planned(8), () => Promise.reject(new Error('broken')), never);
    gone.abort(new Error('over'));
    await expect(waiting).rejects.toThrow('over');
    first.end();
    await running;
    await expect(failing).rejects.toThrow('broken');
    expect(log).toEqual(['first']);
    expect(inFlight(shared)).toBe(0);
  });

  it('sends equal shapes in runs that fill a batch, and then gives the others their turn', async () => {
    const shared = share(() => ({ inFlight: 6, batch: 3 }));
    const log: string[] = [];
    const tasks = ['a1', 'b1', 'a2', 'b2', 'a3', 'b3', 'a4', 'a5'].map((name) => task(log, name));
    const running = tasks.map(({ run }, i) => {
      const side = [8, 9, 8, 9, 8, 9, 8, 8][i] ?? 8;
      return shared.scheduler({})(planned(side), run, never);
    });
    await settled();
    // The first two began a run each before the others were there; the newer one takes what matches, the older may not.
    expect(log).toEqual(['a1', 'b1', 'b2', 'b3']);
    tasks[0]?.end();
    await settled();
    expect(log).toEqual(['a1', 'b1', 'b2', 'b3', 'a2', 'a3', 'a4']); // six in flight: one waits
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
    expect(log).toEqual(['a1', 'b1', 'b2', 'b3', 'a2', 'a3', 'a4', 'a5']);
  });

  it('gives a job two runs while it is alone, and one while others come', async () => {
    const shared = share(() => ({ inFlight: 4, batch: 2, runs: 2, instances: 1 }));
    const log: string[] = [];
    const tasks = ['L1', 'L2', 'L3', 'L4', 'L5', 'L6', 'S1', 'S2'].map((name) => task(log, name));
    const large = shared.scheduler({});
    const running = tasks.slice(0, 6).map(({ run }) => large(planned(8), run, never));
    await settled();
    expect(log).toEqual(['L1', 'L2', 'L3', 'L4']);
    running.push(shared.scheduler({})(planned(9), tasks[6]?.run ?? expect.fail(), never));
    tasks.slice(0, 2).forEach(({ end }) => end());
    await settled();
    expect(log.slice(4)).toEqual(['S1']);
    tasks[6]?.end();
    await settled();
    expect(log.slice(5)).toEqual([]); // L3 and L4 are under way; L5 may not wait behind them
    running.push(shared.scheduler({})(planned(9), tasks[7]?.run ?? expect.fail(), never));
    await settled();
    expect(log.slice(5)).toEqual(['S2']);
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
    expect(log.slice(6)).toEqual(['L5', 'L6']);
  });

  it('lets a run grow only for as long as the server waits for it', async () => {
    const shared = share(() => ({ inFlight: 8, batch: 4, runs: 1, growMs: 30 }));
    const log: string[] = [];
    const tasks = ['a1', 'a2', 'b1', 'a3', 'a4'].map((name) => task(log, name));
    const begin = (i: number) => shared.scheduler({})(planned(i === 2 ? 9 : 8), tasks[i]?.run ?? expect.fail(), never);
    const running = [begin(0), begin(1), begin(2), begin(3)];
    await settled();
    expect(log).toEqual(['a1', 'a2', 'a3']);
    await new Promise((resolve) => setTimeout(resolve, 40));
    running.push(begin(4));
    await settled();
    expect(log).toEqual(['a1', 'a2', 'a3']);
    [0, 1, 3].forEach((i) => tasks[i]?.end());
    await settled();
    expect(log).toEqual(['a1', 'a2', 'a3', 'b1']);
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
    expect(log).toEqual(['a1', 'a2', 'a3', 'b1', 'a4']);
  });

  it('waits a moment between two runs where the server needs it', async () => {
    const shared = share(() => ({ inFlight: 2, batch: 1, runs: 1, pauseMs: 20 }));
    const at: number[] = [];
    const run = () => Promise.resolve(void at.push(performance.now()));
    await Promise.all([1, 2, 3].map(() => shared.scheduler({})(planned(8), run, never)));
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(15);
    expect((at[2] ?? 0) - (at[1] ?? 0)).toBeGreaterThan(15);
  });

  it('waits that moment also between requests that are tried again apart', async () => {
    const retry = { unavailableMs: 0, failedAttempts: 2, maxDelayMs: 0 };
    const shared = share(() => ({ inFlight: 2, batch: 2, runs: 1, pauseMs: 20 }), { retry });
    const at: number[] = [];
    const failsAtFirst = async (_window: Size, { apart }: Turn) => {
      if (!apart) throw new JobError('INFERENCE_FAILED', 'on purpose');
      at.push(performance.now());
      await settled();
    };
    await Promise.all([1, 2].map(() => shared.scheduler({})(planned(8), failsAtFirst, never)));
    expect(at).toHaveLength(2);
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(15);
  });

  it('pads pictures to one window where that saves time, and lets at most two runs wait at Triton', async () => {
    const shared = share(() => ({ inFlight: 16, batch: 8 }));
    const log: string[] = [];
    const sizes = [
      [50, 50],
      [60, 60],
      [100, 100],
      [300, 300],
      [110, 95],
      [120, 110],
      [104, 104],
    ] as const;
    const tasks = sizes.map(([width, height]) => task(log, `${width}x${height}`));
    const running = tasks.map(({ run }, i) => {
      const [width = 0, height = 0] = sizes[i] ?? [];
      return shared.scheduler({})(padded(width, height), run, never);
    });
    await settled();
    expect(log).toEqual(['50x50', '60x60']);
    tasks[0]?.end();
    await settled();
    // 300 x 300 would cost more padding than the launch that it saves.
    expect(log.slice(2).sort()).toEqual(['100x100', '104x104', '110x95', '120x110']);
    expect(log.slice(2).map((name) => windows.get(name))).toEqual(Array(4).fill('120x110'));
    tasks[1]?.end();
    await settled();
    expect(log.at(-1)).toBe('300x300');
    expect(windows.get('300x300')).toBe('300x300');
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
    expect(inFlight(shared)).toBe(0);
  });

  it('pads nothing that may not be padded, and mixes no versions, which do not wait for each other', async () => {
    const shared = share(() => ({ inFlight: 16, batch: 8 }));
    const log: string[] = [];
    const blockers = ['x', 'y'].map((name) => task(log, name));
    const running = blockers.map(({ run }, i) => shared.scheduler({})(planned(500 + i), run, never));
    const tasks = ['one', 'two', 'tile', 'mate'].map((name) => task(log, name));
    const begin = (i: number, one: PlannedRequest) =>
      running.push(shared.scheduler({})(one, tasks[i]?.run ?? expect.fail(), never));
    begin(0, padded(100, 100));
    begin(1, padded(101, 101, { version: '2' }));
    begin(2, planned(99, 99));
    begin(3, padded(102, 102));
    await settled();
    expect(log).toEqual(['x', 'y', 'two']);
    blockers[0]?.end();
    await settled();
    expect(log).toEqual(['x', 'y', 'two', 'one', 'mate']);
    expect(inFlight(shared)).toBe(4);
    [...blockers, ...tasks].forEach(({ end }) => end());
    await Promise.all(running);
    expect(windows.get('two')).toBe('101x101');
    expect(windows.get('mate')).toBe('102x102');
    expect(windows.get('tile')).toBe('99x99');
  });

  it('keeps a run to its pixels, also where all pictures have one size', async () => {
    const shared = share(() => ({ inFlight: 16, batch: 8 }));
    const log: string[] = [];
    // Three of them are a million pixels.
    const requests = (mayGrow: boolean) =>
      planned(600, 550, { shape: { width: 600, height: 550, mayGrow, runPixels: 1e6 } });
    const tasks = Array.from({ length: 14 }, (_, i) => task(log, `p${i}`));
    const running = tasks.map(({ run }, i) => shared.scheduler({})(requests(i % 2 === 0), run, never));
    await settled();
    expect(log).toHaveLength(6); // two runs of three
    tasks.slice(0, 3).forEach(({ end }) => end());
    await settled();
    expect(log).toHaveLength(9);
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
  });

  it('lets a job in a hurry go first, but not twice running', async () => {
    const shared = share(() => ({ inFlight: 1, batch: 1 }));
    const log: string[] = [];
    const run = (name: string) => () => Promise.resolve(void log.push(name));
    const hurry = { priority: 'interactive' } as const;
    await Promise.all([
      ...['b1', 'b2', 'b3'].map((name) => shared.scheduler({})(planned(8), run(name), never)),
      ...['i1', 'i2', 'i3'].map((name) => shared.scheduler({})(planned(8, 8, hurry), run(name), never)),
    ]);
    expect(log).toEqual(['b1', 'i1', 'b2', 'i2', 'b3', 'i3']);
  });

  it('holds up no run while a request waits for its next attempt, but counts it as in flight', async () => {
    const shared = share(() => ({ inFlight: 2, batch: 2 }), { retry: { unavailableMs: 60_000, failedAttempts: 1 } });
    const log: string[] = [];
    let down = true;
    const schedule = shared.scheduler({});
    const failing = schedule(
      planned(8),
      () => (down ? Promise.reject(new JobError('MODEL_UNAVAILABLE', 'down')) : Promise.resolve('up')),
      never,
    );
    await settled();
    const other = task(log, 'other');
    const third = task(log, 'third');
    const running = [other, third].map(({ run }) => shared.scheduler({})(planned(9), run, never));
    await settled();
    expect(log).toEqual(['other']);
    expect(inFlight(shared)).toBe(2);
    down = false;
    await expect(failing).resolves.toBe('up');
    await settled();
    expect(log).toEqual(['other', 'third']);
    other.end();
    third.end();
    await Promise.all(running);
    expect(inFlight(shared)).toBe(0);
  });

  it('lets a job that must not wait give up at once, while others wait in place', async () => {
    const shared = share(() => ({ inFlight: 2, batch: 1 }), { retry: { unavailableMs: 60_000, failedAttempts: 1 } });
    const away = new JobError('MODEL_UNAVAILABLE', 'away');
    let asked = 0;
    const impatient = shared.scheduler({}, false)(planned(8), () => (asked++, Promise.reject(away)), never);
    await expect(impatient).rejects.toBe(away);
    expect(asked).toBe(1);
  });

  it('lets the others go on when a suspect request gives up at once, since other replicas may be well', async () => {
    const shared = share(() => ({ inFlight: 1, batch: 1 }), { retry: { unavailableMs: 60_000, failedAttempts: 1 } });
    const died = new JobError('MODEL_UNAVAILABLE', 'its process has died', { costsAttempt: true });
    const suspect = shared.scheduler({})(planned(8), () => Promise.reject(died), never);
    const waiting = shared.scheduler({})(planned(8), () => Promise.resolve('answered'), never);
    await expect(suspect).rejects.toBe(died);
    expect(await waiting).toBe('answered');
  });

  it('lets nobody wait behind a request that gave up because the model is away', async () => {
    const shared = share(() => ({ inFlight: 1, batch: 1 }));
    const away = new JobError('MODEL_UNAVAILABLE', 'away');
    let fail: () => void = () => undefined;
    const first = shared.scheduler({})(
      planned(8),
      () => new Promise((_, reject) => (fail = () => reject(away))),
      never,
    );
    const schedule = shared.scheduler({});
    const others = [
      schedule(planned(8), () => Promise.resolve(), never),
      schedule(planned(8), () => Promise.resolve(), never),
    ];
    await settled();
    fail();
    const ends = await Promise.allSettled([first, ...others]);
    expect(ends).toEqual(Array(3).fill({ status: 'rejected', reason: away }));
    expect(await shared.scheduler({})(planned(8), () => Promise.resolve('back'), never)).toBe('back');
  });

  it('sends fewer at once when the queue refuses some', async () => {
    const shared = share(() => ({ inFlight: 8, batch: 8 }));
    const log: string[] = [];
    const full = () => Promise.reject(new JobError('MODEL_OVERLOADED', 'full'));
    const refused = Array.from({ length: 8 }, () =>
      shared
        .scheduler({})(planned(8), full, never)
        .catch(() => undefined),
    );
    await Promise.all(refused);
    const tasks = Array.from({ length: 8 }, (_, i) => task(log, String(i)));
    const running = tasks.map(({ run }) => shared.scheduler({})(planned(8), run, never));
    await new Promise((resolve) => setTimeout(resolve, 60)); // longer than the pause after a refusal
    expect(log).toHaveLength(5);
    tasks.forEach(({ end }) => end());
    await Promise.all(running);
  });

  it('rests between refusals also of a request that is tried again apart', async () => {
    const retry = { unavailableMs: 300, failedAttempts: 3, maxDelayMs: 0 };
    const shared = share(() => ({ inFlight: 8, batch: 8 }), { retry });
    let sent = 0;
    const failsAndIsRefused = () => {
      const code = sent++ === 0 ? 'INFERENCE_FAILED' : 'MODEL_OVERLOADED';
      return Promise.reject(new JobError(code, 'on purpose'));
    };
    await expect(shared.scheduler({})(planned(8), failsAndIsRefused, never)).rejects.toMatchObject({
      code: 'MODEL_OVERLOADED',
    });
    // Without a rest it is sent more than a thousand times.
    expect(sent).toBeLessThan(200);
  });

  describe('when inferences fail', () => {
    const failure = new JobError('INFERENCE_FAILED', 'the model raised');
    const retry = { unavailableMs: 0, failedAttempts: 3, maxDelayMs: 0 };

    /**
     * A model that takes batches as Triton does: what is in flight together is one batch, and if one picture of it is bad,
     * all of it fails.
     */
    function batches() {
      let batch: { readonly name: string; readonly copies: number; readonly settle: (ok: boolean) => void }[] = [];
      const executed: string[] = [];
      const execute = () => {
        const now = batch;
        batch = [];
        executed.push(now.map(({ name, copies }) => (copies > 1 ? `${name}x${copies}` : name)).join(' '));
        const ok = !now.some(({ name }) => name.startsWith('bad'));
        now.forEach(({ settle }) => settle(ok));
      };
      const request =
        (name: string) =>
        (_: Size, { copies }: Turn) =>
          new Promise<string>((resolve, reject) => {
            if (batch.length === 0) setImmediate(execute);
            batch.push({ name, copies, settle: (ok) => (ok ? resolve(name) : reject(failure)) });
          });
      return { executed, request };
    }

    it.each([1, 3, 5])(
      'finds the bad one of a batch in ever smaller groups, with %i attempts',
      async (failedAttempts) => {
        const shared = share(() => ({ inFlight: 8, batch: 8 }), { retry: { ...retry, failedAttempts } });
        const { executed, request } = batches();
        const names = ['a', 'b', 'bad', 'c', 'd', 'e', 'f', 'g'];
        const ends = await Promise.allSettled(
          names.map((name) => shared.scheduler({})(planned(8), request(name), never)),
        );
        const failed = names.filter((_, i) => ends[i]?.status === 'rejected');
        expect(failed).toEqual(['bad']);
        const sizes = executed.filter((one) => one.includes('bad')).map((one) => one.split(' ').length);
        expect(sizes).toEqual(failedAttempts === 5 ? [8, 4, 2, 1, 1] : [8, 4, 2, 1]);
        // The last attempt leaves no place in the batch for other workers' requests.
        expect(executed).toContain('badx8');
        expect(
          executed.filter((one) => one.includes('x')).every((one) => one.endsWith('x8') && !one.includes(' ')),
        ).toBe(true);
        expect(executed.length).toBeLessThanOrEqual(9);
        expect(inFlight(shared)).toBe(0);
      },
    );

    it('goes on with the others however many bad ones come', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry });
      const { executed, request } = batches();
      let done = false;
      const keepFailing = async () => {
        while (!done)
          await shared
            .scheduler({})(planned(8), request('bad'), never)
            .catch(() => undefined);
      };
      const flood = Array.from({ length: 12 }, keepFailing);
      await settled();
      const good = ['a', 'b', 'c'].map((name) => shared.scheduler({})(planned(9), request(name), never));
      expect(await Promise.all(good)).toEqual(['a', 'b', 'c']);
      expect(executed.length).toBeLessThan(100);
      done = true;
      await Promise.all(flood);
    });

    it('does not fill a batch beyond the pixels that it may have', async () => {
      const shared = share(() => ({ inFlight: 8, batch: 8 }), { retry });
      const { executed, request } = batches();
      const wide = planned(8, 8, { shape: { width: 8, height: 8, runPixels: 200 } });
      await expect(shared.scheduler({})(wide, request('bad'), never)).rejects.toBe(failure);
      expect(executed).toEqual(['bad', 'bad', 'badx3']); // three fit, then one
    });

    it('tries again without more ado where the model takes one request at a time', async () => {
      const shared = share(() => ({ inFlight: 2, batch: 1 }), { retry });
      const { executed, request } = batches();
      await expect(shared.scheduler({})(planned(8), request('bad'), never)).rejects.toBe(failure);
      expect(executed).toEqual(['bad', 'bad', 'bad']);
    });
  });

  describe('when the model has not enough memory', () => {
    const short = new JobError('MODEL_UNAVAILABLE', 'out of memory', { outOfMemory: true });
    const retry = { unavailableMs: 60_000, failedAttempts: 3, maxDelayMs: 0 };

    it('tries a request once more apart from its batch, in one copy', async () => {
      const shared = share(() => ({ inFlight: 8, batch: 8 }), { retry });
      const turns: Turn[] = [];
      const task = (_: Size, turn: Turn) => {
        turns.push(turn);
        return turn.apart ? Promise.resolve('fits') : Promise.reject(short);
      };
      expect(await shared.scheduler({})(planned(8), task, never)).toBe('fits');
      expect(turns).toMatchObject([
        { apart: false, copies: 1 },
        { apart: true, copies: 1 },
      ]);
    });

    it.each([8, 1])('takes two shortages alone for the doing of the request, in batches of %i', async (batch) => {
      const shared = share(() => ({ inFlight: 8, batch }), { retry });
      const turns: Turn[] = [];
      const task = (_: Size, turn: Turn) => (turns.push(turn), Promise.reject(short));
      await expect(shared.scheduler({})(planned(8), task, never)).rejects.toMatchObject({
        ...{ outOfMemory: true, costsAttempt: true },
      });
      expect(turns).toMatchObject([{ apart: false }, ...Array<object>(2).fill({ apart: true, copies: 1 })]);
    });

    it('takes no shortage for the doing of the request while another model is asked', async () => {
      const shared = share(() => ({ inFlight: 8, batch: 8 }), { retry });
      const other = task([], 'other');
      const running = shared.scheduler({})(planned(8, 8, { model: 'other' }), other.run, never);
      let made = 0;
      const failing = shared.scheduler({})(planned(8), () => (made++, Promise.reject(short)), never);
      await expect(failing).rejects.toBe(short);
      expect(made).toBe(2);
      other.end();
      await running;
    });

    it('tries one copy where a full batch of copies does not fit', async () => {
      const shared = share(() => ({ inFlight: 8, batch: 8 }), { retry });
      const task = (_: Size, { copies }: Turn) => (copies > 1 ? Promise.reject(short) : Promise.resolve('fits'));
      expect(await shared.scheduler({})(planned(8, 8, { suspectSince: 0 }), task, never)).toBe('fits');
    });
  });

  describe('when requests get no answer', () => {
    const lost = new JobError('MODEL_UNAVAILABLE', 'connection dropped', { unanswered: 'lost' });
    const late = new JobError('MODEL_UNAVAILABLE', 'no answer', { unanswered: 'late' });
    const retry = { unavailableMs: 60_000, failedAttempts: 3, maxDelayMs: 0 };

    /** A server that dies of every batch with a picture named `bad`, or of all. */
    function server(isBad = (name: string) => name.startsWith('bad')) {
      let batch: { readonly name: string; readonly settle: (ok: boolean) => void }[] = [];
      const executed: string[] = [];
      const execute = () => {
        const now = batch;
        batch = [];
        executed.push(now.map(({ name }) => name).join(' '));
        const ok = !now.some(({ name }) => isBad(name));
        now.forEach(({ settle }) => settle(ok));
      };
      const request =
        (name: string) =>
        (_: Size, { copies, probe }: Turn) =>
          new Promise<string>((resolve, reject) => {
            if (batch.length === 0) setImmediate(execute);
            batch.push({
              name: probe ? 'probe' : copies > 1 ? `${name}x${copies}` : name,
              settle: (ok) => (ok ? resolve(name) : reject(lost)),
            });
          });
      return { executed, request };
    }

    it('sends each alone in a full batch, and charges the one that ends so again while others are answered', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry });
      const { executed, request } = server();
      const names = ['a', 'b', 'c', 'bad'];
      const ends = await Promise.allSettled(
        names.map((name) => shared.scheduler({})(planned(8), request(name), never)),
      );
      expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
      expect(ends[3]).toMatchObject({ reason: { costsAttempt: true, unanswered: 'lost' } });
      // The first asks with a blank picture whether the version answers; the next ones know.
      expect(executed).toEqual(['a b c bad', 'probe', 'ax4', 'bx4', 'cx4', 'badx4']);
      expect(inFlight(shared)).toBe(0);
    });

    it('charges nobody while nobody is answered, and says of each that it was not', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry: { ...retry, unavailableMs: 100 } });
      const { executed, request } = server(() => true);
      const names = ['a', 'b', 'c'];
      const ends = await Promise.allSettled(
        names.map((name) => shared.scheduler({})(planned(8), request(name), never)),
      );
      for (const end of ends) expect(end).toMatchObject({ reason: { unanswered: 'lost', costsAttempt: false } });
      expect(new Set(executed)).toEqual(new Set(['a b c', 'probe']));
    });

    it('does not take what others left unanswered for a request of those that were refused with them', async () => {
      const shared = share(() => ({ inFlight: 1, batch: 1 }), { retry: { ...retry, unavailableMs: 0 } });
      let fail: () => void = () => undefined;
      const first = shared.scheduler({})(planned(8), () => new Promise((_, no) => (fail = () => no(late))), never);
      const waiting = shared.scheduler({})(planned(8), () => Promise.resolve(), never);
      await settled();
      fail();
      await expect(first).rejects.toMatchObject({ unanswered: 'late', costsAttempt: false });
      await expect(waiting).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', unanswered: undefined });
    });

    it('remembers it where the request is then refused as in any outage', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry: { ...retry, unavailableMs: 100 } });
      let sent = 0;
      const task = () => Promise.reject(sent++ === 0 ? lost : new JobError('MODEL_UNAVAILABLE', 'refused'));
      await expect(shared.scheduler({})(planned(8), task, never)).rejects.toMatchObject({
        ...{ message: 'refused', unanswered: 'lost', costsAttempt: false },
      });
    });

    it('sends the requests of a job that was suspect before apart from the first on', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry });
      const { executed, request } = server();
      const since = performance.now();
      const job = {};
      const ends = await Promise.all([
        ...['s1', 's2'].map((name) =>
          shared.scheduler(job)(planned(8, 8, { suspectSince: since }), request(name), never),
        ),
        ...['a', 'b'].map((name) => shared.scheduler({})(planned(8), request(name), never)),
      ]);
      expect(ends).toEqual(['s1', 's2', 'a', 'b']);
      expect(executed).toEqual(['probe', 's1x4', 's2x4', 'a b']);
      const bad = shared.scheduler({})(planned(8, 8, { suspectSince: since }), request('bad'), never);
      await expect(bad).rejects.toMatchObject({ costsAttempt: true });
      // Now the last thing known of the version is that it gave no answer, so it is asked again.
      const next = shared.scheduler({})(planned(8, 8, { suspectSince: since }), request('bad'), never);
      await expect(next).rejects.toMatchObject({ costsAttempt: true });
      expect(executed.slice(-3)).toEqual(['badx4', 'probe', 'badx4']);
    });

    it('charges nobody for what happens to the blank picture', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry: { ...retry, unavailableMs: 0 } });
      const died = new JobError('MODEL_UNAVAILABLE', 'its process has died', { costsAttempt: true });
      const task = (_: Size, { probe }: Turn) => (probe ? Promise.reject(died) : expect.fail());
      const end = shared.scheduler({})(planned(8, 8, { suspectSince: performance.now() }), task, never);
      await expect(end).rejects.toMatchObject({ message: died.message, costsAttempt: false });
    });

    it('waits for another turn where a full queue refuses the blank picture', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry });
      const full = new JobError('MODEL_OVERLOADED', 'full');
      let probes = 0;
      const task = (_: Size, { probe }: Turn) =>
        probe && ++probes < 3 ? Promise.reject(full) : Promise.resolve(shared.load()[0]?.limit);
      const limit = await shared.scheduler({})(planned(8, 8, { suspectSince: performance.now() }), task, never);
      expect(probes).toBe(3);
      expect(limit).toBeLessThan(4);
    });

    it('takes an error of the model for an answer', async () => {
      const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry });
      const raised = new JobError('INFERENCE_FAILED', 'it takes no black pictures');
      const task = (_: Size, { probe }: Turn) => (probe ? Promise.reject(raised) : Promise.resolve('answered'));
      const answer = shared.scheduler({})(planned(8, 8, { suspectSince: performance.now() }), task, never);
      expect(await answer).toBe('answered');
    });

    describe('in time', () => {
      beforeEach(() => void vi.useFakeTimers());
      afterEach(() => void vi.useRealTimers());
      const after = (ms: number, error?: JobError) => () =>
        new Promise<void>((resolve, reject) => setTimeout(() => (error ? reject(error) : resolve()), ms));

      it.each([
        [1_000, true],
        [70_000, false],
      ])('charges one that is late after 120 s where the last answer took %i ms: %s', async (tookMs, costsAttempt) => {
        const shared = share(() => ({ inFlight: 4, batch: 4 }), { retry });
        const others = shared.scheduler({})(planned(8), after(tookMs), never);
        await vi.advanceTimersByTimeAsync(tookMs);
        await others;
        const hangs = after(120_000, late);
        const end = shared
          .scheduler({})(planned(8, 8, { suspectSince: 0 }), hangs, never)
          .catch((error: unknown) => error);
        await vi.advanceTimersByTimeAsync(120_000);
        expect(await end).toMatchObject({ unanswered: 'late', costsAttempt });
      });
    });
  });

  describe('when the queue of the model is full', () => {
    const full = new JobError('MODEL_OVERLOADED', 'full');
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());
    const retry = { unavailableMs: 10_000, failedAttempts: 1 };
    const passed = (ms: number) => vi.advanceTimersByTimeAsync(ms);
    /** Refused until `until`, by the fake clock. */
    const refusedUntil = (until: number) => () =>
      performance.now() < until ? Promise.reject(full) : Promise.resolve('computed');

    it('gives up a job of which nothing has been computed when nothing was accepted for as long as jobs wait', async () => {
      const shared = share(() => ({ inFlight: 2, batch: 2 }), { retry });
      const end = shared
        .scheduler({})(planned(8), refusedUntil(Infinity), never)
        .catch((error: unknown) => error);
      await passed(12_000);
      expect(await end).toBe(full);
    });

    it('keeps a request for as long as others are accepted', async () => {
      const shared = share(() => ({ inFlight: 2, batch: 2 }), { retry });
      const answer = shared.scheduler({})(planned(8), refusedUntil(performance.now() + 60_000), never);
      for (let i = 0; i < 20; i++) {
        await Promise.all([shared.scheduler({})(planned(9), () => Promise.resolve('other'), never), passed(4_000)]);
      }
      expect(await answer).toBe('computed');
    });

    it('keeps what a job has computed for ten minutes', async () => {
      const shared = share(() => ({ inFlight: 2, batch: 2 }), { retry });
      const schedule = shared.scheduler({});
      await schedule(planned(8), () => Promise.resolve('first tile'), never);
      const answer = schedule(planned(8), refusedUntil(performance.now() + 300_000), never);
      await passed(310_000);
      expect(await answer).toBe('computed');
      const givenUp = schedule(planned(8), refusedUntil(Infinity), never).catch((error: unknown) => error);
      await passed(610_000);
      expect(await givenUp).toBe(full);
    });
  });
});
