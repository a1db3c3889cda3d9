import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Completion } from '../../../src/domain/completion.js';
import { NO_CAPACITY } from '../../../src/domain/capacity.js';
import { GivenBack, JobError } from '../../../src/domain/errors.js';
import { fingerprint } from '../../../src/domain/fingerprint.js';
import { parseJob } from '../../../src/domain/job.js';
import type { Delivery } from '../../../src/domain/ports.js';
import { NO_ROUTES } from '../../../src/domain/routes.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { retryingStore } from '../../../src/pipeline/retry.js';
import { createFairShare } from '../../../src/scheduling/fair-share.js';
import { createAvailability } from '../../../src/scheduling/availability.js';
import { createBuckets } from '../../../src/scheduling/buckets.js';
import { createCircuits } from '../../../src/scheduling/circuits.js';
import { createHandler } from '../../../src/worker/handle.js';
import { createIntake } from '../../../src/scheduling/intake.js';
import { leaveAttemptMarker } from '../../../src/records/markers.js';
import { decodeRecord } from '../../../src/records/record.js';
import { requestOf } from '../../../src/records/request.js';
import { createOutlet } from '../../../src/worker/outlet.js';
import { createWaitingRoom } from '../../../src/scheduling/waiting-room.js';
import { memoryModels } from '../../support/memory-models.js';
import { memoryPublisher } from '../../support/memory-publisher.js';
import { memoryStore } from '../../support/memory-store.js';

const DAY_MS = 86_400_000;
const ONE_ATTEMPT = { unavailableMs: 0, failedAttempts: 1 };

/*
 * What real parts cannot be made to do at will: a publish that fails at the worst moment, a record that appears between
 * two steps, storage that is away for exactly one call. Jobs here end before any inference.
 */

/** Models that the server knows and cannot serve. */
let away: string[] = [];

const models = memoryModels([], undefined, { unready: () => new Map(away.map((name) => [name, 'unloaded'])) });

/** @param storage how long to wait in place for storage */
function setUp(storage = ONE_ATTEMPT) {
  const memory = memoryStore();
  const sent: { topic: string; body: string; attributes: Readonly<Record<string, string>>; orderingKey?: string }[] =
    [];
  const told: string[] = [];
  /** Objects that were created without patience. */
  const createdAtOnce: string[] = [];
  let broken: string | undefined;
  const publisher = (topic: string) => {
    const inMemory = memoryPublisher(({ data, ...more }) => sent.push({ topic, body: data.toString(), ...more }));
    inMemory.refuse(() => (broken === topic ? new Error('not accepted') : undefined));
    return createOutlet(inMemory.publisher, (reason) => told.push(reason ? `${topic} refused` : `${topic} accepted`));
  };
  const circuits = createCircuits(models);
  const buckets = createBuckets(memory.store, {
    ...{ statePrefix: 'gs://state', outputPrefix: 'gs://out', allowedInputs: ['gs://in'], allowedOutputs: [] },
  });
  const availability = createAvailability({ circuits, buckets });
  const intake = createIntake(4);
  const waitingRoom = createWaitingRoom({ room: 1, starving: () => true, availability, refresh: () => undefined });
  const handler = () =>
    createHandler(
      {
        store: retryingStore(buckets.watch(memory.store), storage),
        singleTryStore: {
          ...buckets.watch(memory.store),
          create: (ref, ...rest) => (createdAtOnce.push(ref.name), memory.store.create(ref, ...rest)),
        },
        models,
        intake,
        availability,
        waitingRoom,
        jobs: publisher('jobs'),
        share: createFairShare({ capacityOf: () => NO_CAPACITY, costOf: () => DEFAULT_COST, retry: ONE_ATTEMPT }),
        completions: publisher('completions'),
        deadLetters: publisher('dead-letters'),
        observer: {
          received: ({ attempt }) => told.push(`received ${attempt}`),
          ignored: (_delivery, reason) => told.push(`ignored ${reason}`),
          ended: ({ completion, replay, tookMs, publishMs }) => {
            expect(tookMs).toBeGreaterThanOrEqual(publishMs);
            told.push(`${replay ? 'replayed' : 'ended'} ${completion.error?.code ?? completion.status}`);
          },
          deadLettered: ({ error }) => told.push(`dead letter ${error?.code ?? ''}`),
          unreadable: (_delivery, error, jobId) => told.push(`unreadable ${jobId} ${error.name}`),
          putBack: (_delivery, error) => told.push(`deferred ${error.name}`),
          givenBack: (_delivery, error) => told.push(`given back: ${error.message}`),
        },
        offerShadow: ({ job: { jobId } }) => told.push(`shadow ${jobId}`),
      },
      {
        statePrefix: 'gs://state',
        maxAttempts: 3,
        maxDeferredMs: DAY_MS,
        watchMs: 20,
        lookUp: storage,
        suspectPauseMs: 0,
        worker: 'w',
        pipeline: {
          maxInputPixels: 1,
          maxOutputPixels: 1,
          predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
          reserve: () => Promise.resolve(() => undefined),
          codecs: () => atOnce,
          fetch: { allowedInputs: [], maxBytes: 1 },
          target: { outputPrefix: 'gs://out', allowedOutputs: [] },
          route: () => ({ routes: NO_ROUTES, waitMs: 0 }),
          endOf: () => Promise.resolve(undefined),
        },
      },
    );
  const breakTopic = (topic?: string) => (broken = topic);
  return { ...memory, sent, told, intake, waitingRoom, buckets, createdAtOnce, handler, breakTopic };
}

let messages = 0;
function delivery(job: object | string, attempt = 1): Delivery {
  const data = Buffer.from(typeof job === 'string' ? job : JSON.stringify(job));
  return {
    messageId: `m${++messages}`,
    data,
    attributes: { origin: 'test', googclient_x: 'y' },
    attempt,
    publishedAt: new Date(),
  };
}
const job = (jobId = 'a') => ({ jobId, operations: ['x'], input: { uri: 'gs://in/a' } });
const never = new AbortController().signal;
const bodies = (sent: { topic: string; body: string }[], topic = 'completions') =>
  sent.filter((message) => message.topic === topic).map(({ body }) => body);
const parsed = (sent: { topic: string; body: string }[]) => bodies(sent).map((body) => JSON.parse(body) as Completion);

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe('the handler', () => {
  it('holds a message until its completion is accepted, and works on nothing else meanwhile', async () => {
    const { handler, sent, breakTopic, objects, told } = setUp();
    breakTopic('completions');
    const handled = handler()(delivery(job()), never);
    await until(() => told.includes('completions refused'));
    expect([...objects.keys()]).toEqual(['gs://state/a.json']);
    breakTopic();
    expect(await handled).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ error: { code: 'UNKNOWN_MODEL' }, attempt: 1 }]);
    expect(told).toEqual(['received 1', 'completions refused', 'completions accepted', 'ended UNKNOWN_MODEL']);
  });

  it('holds a message until its dead letter is accepted, too', async () => {
    const { handler, sent, breakTopic, told } = setUp();
    breakTopic('dead-letters');
    const handled = handler()(delivery('nonsense'), never);
    await until(() => told.includes('dead-letters refused'));
    expect(sent).toEqual([]);
    breakTopic();
    expect(await handled).toBe('ack');
    expect(bodies(sent, 'dead-letters')).toEqual(['nonsense']);
    expect(sent[0]?.attributes).toMatchObject({ origin: 'test', errorCode: 'INVALID_MESSAGE' });
    expect(sent[0]?.attributes).not.toHaveProperty('googclient_x');
  });

  it.each([
    { attempt: 1, settlement: 'nack', copies: 0 },
    { attempt: 2, settlement: 'ack', copies: 1 },
  ])(
    'ends delivery $attempt with $settlement where the worker stops before its completion is accepted',
    async ({ attempt, settlement, copies }) => {
      const { handler, sent, breakTopic, told } = setUp();
      const stop = new AbortController();
      breakTopic('completions');
      const handled = handler()(delivery(job(), attempt), stop.signal);
      await until(() => told.includes('completions refused'));
      stop.abort(new GivenBack('the worker is stopping'));
      expect(await handled).toBe(settlement);
      expect(bodies(sent, 'jobs')).toHaveLength(copies);
    },
  );

  it('gives the message back when the worker stops and it can neither be worked on nor put back', async () => {
    const { handler, sent, fail, breakTopic, told } = setUp();
    fail(() => {
      throw new Error('a fault of ours');
    });
    breakTopic('jobs');
    const stop = new AbortController();
    const handled = handler()(delivery(job()), stop.signal);
    await until(() => told.includes('jobs refused'));
    stop.abort(new GivenBack('the worker is stopping'));
    expect(await handled).toBe('nack');
    expect(sent).toEqual([]);
  });

  it('answers a job that has ended from its record alone', async () => {
    const { handler, sent, fail } = setUp();
    const handle = handler();
    await handle(delivery(job()), never);
    fail((operation) => {
      if (operation === 'create') throw new Error('it was worked on again');
    });
    expect(await handle(delivery(job()), never)).toBe('ack');
    const [first, second] = bodies(sent);
    expect(second).toBe(first);
  });

  it('yields to a record that another worker wrote in the meantime', async () => {
    const { handler, sent, fail, objects } = setUp();
    const other = setUp();
    await other.handler()(delivery(job()), never);
    const theirs = other.objects.get('gs://state/a.json');
    fail((operation) => {
      if (operation === 'create' && theirs) objects.set('gs://state/a.json', theirs);
    });
    expect(await handler()(delivery(job()), never)).toBe('ack');
    expect(bodies(sent)).toEqual(bodies(other.sent));
  });

  it('keeps the request in the record as it was published, also after it was put back, and echoes whose job it is', async () => {
    const { handler, sent, fail, objects } = setUp();
    const handle = handler();
    const group = { id: 'season', total: 2 };
    const redrive = { ...job('a~r1'), redriveOf: 'a', group, priority: 'interactive', schemaVersion: 1 };
    fail((operation, uri) => {
      if (operation === 'read' && uri.endsWith('.json')) throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    const message = { ...delivery(redrive, 2), orderingKey: 'customer' };
    await handle({ ...message, attributes: { ...message.attributes, traceparent: '00-a-b-01' } }, never);
    fail(() => undefined);
    const [copy] = sent.splice(0);
    await handle({ ...message, messageId: 'copy', attempt: 1, attributes: copy?.attributes ?? {} }, never);
    expect(parsed(sent)).toMatchObject([{ jobId: 'a~r1', redriveOf: 'a', group, status: 'failed' }]);
    const record = decodeRecord(objects.get('gs://state/a~r1.json')?.bytes ?? Buffer.alloc(0));
    if (typeof record === 'string') throw new Error(record);
    expect(requestOf(record)).toEqual({ message: redrive, attributes: { origin: 'test' }, orderingKey: 'customer' });
    // Under an id that is taken, too.
    await handle(delivery({ ...redrive, operations: ['y'] }), never);
    expect(parsed(sent)[1]).toMatchObject({ error: { code: 'JOB_ID_REUSED' }, redriveOf: 'a', group });
  });

  it("works on a bucket's notification as on the job that it names, also after it was put back", async () => {
    const { handler, sent, fail, told } = setUp();
    const handle = handler();
    const event = { eventType: 'OBJECT_FINALIZE', payloadFormat: 'JSON_API_V1', bucketId: 'in', objectId: 'a.jpg' };
    const attributes = { ...event, objectGeneration: '7', 'imagen-job': '{"operations":["x"]}' };
    const notification = { ...delivery({ name: 'a.jpg' }), attributes };
    fail((operation, uri) => {
      if (operation === 'read' && uri.endsWith('.json')) throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    expect(await handle({ ...notification, attempt: 2 }, never)).toBe('ack');
    fail(undefined);
    const [copy] = sent.splice(0);
    expect(copy).toMatchObject({ topic: 'jobs', attributes: { model: 'x' } });
    expect(copy?.attributes).not.toHaveProperty('eventType');
    const again = { ...notification, data: Buffer.from(copy?.body ?? ''), attributes: copy?.attributes ?? {} };
    expect(await handle(again, never)).toBe('ack');
    const jobId = expect.stringMatching(/^gcs:in:7:/) as string;
    expect(parsed(sent)).toMatchObject([{ jobId, error: { code: 'UNKNOWN_MODEL' }, input: { uri: 'gs://in/a.jpg' } }]);
    sent.splice(0);
    told.splice(0);
    expect(await handle({ ...notification, attributes: { ...attributes, eventType: 'OBJECT_DELETE' } }, never)).toBe(
      'ack',
    );
    expect([sent, told]).toEqual([[], ['received 1', 'ignored no new object']]);
    await handle({ ...notification, attributes: { ...attributes, 'imagen-job': '{' } }, never);
    expect(parsed(sent)).toMatchObject([{ jobId, error: { code: 'INVALID_MESSAGE' } }]);
  });

  it('ends a job whose workers died, with a dead letter and without working on it', async () => {
    const { handler, sent, store } = setUp();
    const message = delivery(job());
    for (const attempt of [2, 3]) {
      await leaveAttemptMarker(store, 'gs://state', { jobId: 'a', raw: { ...message, attempt } }, never);
    }
    expect(await handler()({ ...message, attempt: 4 }, never)).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ status: 'failed', error: { code: 'WORKER_LOST' } }]);
    expect(bodies(sent, 'dead-letters')).toHaveLength(1);
  });

  it('puts a job back for a fault that nobody knows, as an attempt, and ends it with that fault after the last', async () => {
    const { handler, sent, fail } = setUp();
    const handle = handler();
    fail((operation, uri) => {
      if (operation === 'create' && uri.endsWith('a.json')) throw new TypeError('a fault of ours');
    });
    let message = delivery(job());
    for (const attempts of ['1', '2', '3']) {
      expect(await handle(message, never)).toBe('ack');
      const copy = sent.splice(0);
      expect(copy).toMatchObject([{ topic: 'jobs', attributes: { attempts, origin: 'test' } }]);
      message = { ...message, messageId: `copy${attempts}`, attributes: copy[0]?.attributes ?? {}, attempt: 1 };
    }
    fail(undefined);
    expect(await handle(message, never)).toBe('ack');
    const error = { code: 'RETRIES_EXHAUSTED', message: 'after 3 attempts: INTERNAL: a fault of ours' };
    expect(parsed(sent)).toMatchObject([{ status: 'failed', error }]);
  });

  it('counts only attempts that have begun against a job whose deliveries are used up', async () => {
    const { handler, sent, store } = setUp();
    const handle = handler();
    const message = delivery(job());
    // The second delivery was begun and not ended; the third lay in a worker that died.
    await leaveAttemptMarker(store, 'gs://state', { jobId: 'a', raw: { ...message, attempt: 2 } }, never);
    expect(await handle({ ...message, attempt: 4 }, never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { attempts: '2' } }]);
    // Its copy has one attempt left, and is worked on.
    const copy = { ...message, messageId: 'copy', attributes: sent[0]?.attributes ?? {}, attempt: 1 };
    expect(await handle(copy, never)).toBe('ack');
    expect(parsed(sent.slice(1))).toMatchObject([{ error: { code: 'UNKNOWN_MODEL' }, attempt: 3 }]);
  });

  it('counts only attempts that have begun against a job that is put back for a fault of ours', async () => {
    const { handler, sent, store } = setUp();
    const handle = handler();
    const message = delivery(job());
    await leaveAttemptMarker(store, 'gs://state', { jobId: 'a', raw: { ...message, attempt: 2 } }, never);
    const create = store.create.bind(store);
    store.create = (ref, ...rest) =>
      ref.name.endsWith('.json') ? Promise.reject(new TypeError('a fault of ours')) : create(ref, ...rest);
    // Deliveries 1 and 2 had begun, but not the third.
    expect(await handle({ ...message, attempt: 3 }, never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { attempts: '3' } }]);
    // Of this one, only the first had.
    expect(await handle({ ...delivery(job('b')), attempt: 3 }, never)).toBe('ack');
    expect(sent.slice(1)).toMatchObject([{ topic: 'jobs', attributes: { attempts: '2' } }]);
  });

  it('puts a job back, instead of letting it stand aside, once an attempt has left its marker', async () => {
    const { handler, sent, store, waitingRoom } = setUp();
    const create = store.create.bind(store);
    store.create = (ref, ...rest) =>
      ref.name.endsWith('.json') ? Promise.reject(new JobError('STORAGE_UNAVAILABLE', 'away')) : create(ref, ...rest);
    const wait = vi.spyOn(waitingRoom, 'wait');
    expect(await handler()(delivery(job(), 2), never)).toBe('ack');
    expect(wait).not.toHaveBeenCalled();
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { attempts: '1' } }]);
  });

  it('takes a lack of memory in its own code for no fault of the job', async () => {
    const { handler, sent, store } = setUp();
    const create = store.create.bind(store);
    store.create = (ref, ...rest) =>
      ref.name.endsWith('.json')
        ? Promise.reject(new RangeError('Array buffer allocation failed'))
        : create(ref, ...rest);
    expect(await handler()(delivery(job()), never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { attempts: '0' } }]);
    expect(JSON.parse(sent[0]?.attributes.lastError ?? '{}')).toMatchObject({ code: 'WORKER_OVERLOADED' });
  });

  it('judges a job whose deliveries are used up before its turn, since none may come', async () => {
    const { handler, sent, store, intake, told } = setUp();
    intake.pause(true);
    const handle = handler();
    const innocent = delivery(job('innocent'), 4);
    expect(await handle(innocent, never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { attempts: '1' } }]);
    expect(told).toContain('deferred Unbegun');
    const culprit = delivery(job('culprit'), 4);
    for (const attempt of [2, 3]) {
      await leaveAttemptMarker(store, 'gs://state', { jobId: 'culprit', raw: { ...culprit, attempt } }, never);
    }
    expect(await handle(culprit, never)).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ jobId: 'culprit', error: { code: 'WORKER_LOST' }, attempt: 4 }]);
  });

  it('puts a job that has ended back at once, when its deliveries are used up and its completion is refused', async () => {
    const { handler, sent, breakTopic } = setUp();
    const handle = handler();
    expect(await handle(delivery(job()), never)).toBe('ack');
    breakTopic('completions');
    expect(await handle({ ...delivery(job()), attempt: 4 }, never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'completions' }, { topic: 'jobs' }]);
  });

  it('puts a job back, with its attempts uncounted and its ordering key, when one call to storage fails', async () => {
    const { handler, sent, fail } = setUp();
    fail((operation, uri) => {
      if (operation === 'read' && uri.endsWith('a.json')) throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    const message = { ...delivery(job(), 2), orderingKey: 'customer' };
    expect(await handler()(message, never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', body: message.data.toString(), orderingKey: 'customer' }]);
    expect(sent[0]?.attributes).toMatchObject({ origin: 'test', deferrals: '1', attempts: '1' });
  });

  it('puts a message back once, although its ack was lost', async () => {
    const { handler, sent, fail } = setUp();
    const handle = handler();
    const message = delivery(job());
    fail((operation, uri) => {
      if (operation === 'read' && uri.endsWith('a.json')) throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    for (const attempt of [1, 2, 3]) expect(await handle({ ...message, attempt }, never)).toBe('ack');
    expect(bodies(sent, 'jobs')).toHaveLength(1);
  });

  it.each([
    { deferrals: undefined, pausesMs: 1_000 },
    { deferrals: '3', pausesMs: 8_000 },
    { deferrals: '1000', pausesMs: 30_000 },
  ])('pauses $pausesMs ms before it puts back a job whose object alone is away', async ({ deferrals, pausesMs }) => {
    const { handler, sent, fail, waitingRoom, intake, buckets } = setUp();
    fail((operation, uri) => {
      if (operation === 'read' && uri.endsWith('a.json')) throw new JobError('STORAGE_UNAVAILABLE', 'denied');
    });
    const message = delivery(job());
    const attributes = { ...message.attributes, ...(deferrals ? { deferrals, deferredSince: '1000' } : {}) };
    vi.useFakeTimers();
    const handled = handler()({ ...message, attributes }, never);
    await vi.waitUntil(() => waitingRoom.parked === 1);
    await vi.advanceTimersByTimeAsync(pausesMs - 500);
    expect([sent.length, intake.active, buckets.open().length]).toEqual([0, 0, 0]);
    await vi.advanceTimersByTimeAsync(1_000);
    vi.useRealTimers();
    expect(await handled).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { deferredFor: 'object a.json of read bucket state' } }]);
  });

  it('waits in place for nothing but the record while it works on a job alone', async () => {
    const { handler, store, createdAtOnce } = setUp();
    const handle = handler();
    expect(await handle(delivery(job('b'), 2), never)).toBe('ack');
    expect(createdAtOnce).toEqual([]);
    const message = delivery(job());
    await leaveAttemptMarker(store, 'gs://state', { jobId: 'a', raw: { ...message, attempt: 2 } }, never);
    expect(await handle({ ...message, attempt: 3 }, never)).toBe('ack');
    expect(createdAtOnce).toEqual([expect.stringMatching(/3[.]begun$/)]);
  });

  it('asks storage for some messages at a time, however many come at once, and for interactive jobs first', async () => {
    const { handler, store } = setUp();
    const read = store.read.bind(store);
    let [asking, most] = [0, 0];
    const asked: string[] = [];
    store.read = async (ref, options) => {
      asked.push(ref.name);
      most = Math.max(most, ++asking);
      await new Promise((resolve) => setTimeout(resolve, 2));
      asking--;
      return read(ref, options);
    };
    const handle = handler();
    const batch = Array.from({ length: 200 }, (_, i) => handle(delivery(job(`batch-${i}`)), never));
    const urgent = handle(delivery({ ...job('urgent'), priority: 'interactive' }), never);
    await Promise.all([...batch, urgent]);
    expect(most).toBeLessThanOrEqual(32 + 4); // and those in the four places
    expect(asked.indexOf('urgent.json')).toBeLessThan(50);
  });

  it('looks up other jobs while storage fails for single ones', async () => {
    const { handler, fail, told } = setUp({ unavailableMs: 60_000, failedAttempts: 1 });
    let failures = 0;
    let away = true;
    fail((operation, uri) => {
      if (!away || operation !== 'read' || !uri.includes('hidden')) return;
      failures++;
      throw new JobError('STORAGE_UNAVAILABLE', 'denied');
    });
    const handle = handler();
    const hidden = Array.from({ length: 40 }, (_, i) => handle(delivery(job(`hidden-${i}`)), never));
    await until(() => failures >= 32);
    expect(await handle(delivery(job('other')), never)).toBe('ack');
    expect(told.filter((line) => line.startsWith('ended'))).toHaveLength(1);
    away = false;
    expect(new Set(await Promise.all(hidden))).toEqual(new Set(['ack']));
    expect(told.filter((line) => line.startsWith('ended'))).toHaveLength(41);
  });

  it('lets jobs stand aside, without a place, while their bucket cannot be used', async () => {
    const { handler, sent, fail, waitingRoom, intake, buckets } = setUp();
    fail(() => {
      throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    const handled = handler()(delivery(job()), never);
    await until(() => waitingRoom.parked === 1);
    expect(intake.active).toBe(0);
    expect(buckets.open()).toMatchObject([{ prefix: { name: 'state', access: 'read' }, reason: 'away' }]);
    fail(undefined);
    expect(await handled).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ error: { code: 'UNKNOWN_MODEL' }, attempt: 1 }]);
    expect(bodies(sent, 'jobs')).toEqual([]);
    buckets.close();
  });

  it('ends a job that has been put off for too long, with the real reason', async () => {
    const { handler, sent } = setUp();
    const message = delivery(job());
    const attributes = { deferrals: '9', deferredSince: String(Date.now() - DAY_MS) };
    away = ['x'];
    expect(await handler()({ ...message, attributes }, never)).toBe('ack');
    away = [];
    expect(parsed(sent)).toMatchObject([{ status: 'failed', error: { code: 'RETRIES_EXHAUSTED', retryable: true } }]);
    expect(bodies(sent, 'dead-letters')).toHaveLength(1);
  });

  describe('when a model is down', () => {
    beforeEach(() => (away = ['x']));
    afterEach(() => (away = []));

    it('lets its jobs stand aside without a place, and takes them up when it is back', async () => {
      const { handler, sent, waitingRoom, intake } = setUp();
      const passed = vi.spyOn(waitingRoom, 'passed');
      const handled = handler()(delivery(job()), never);
      await until(() => waitingRoom.parked === 1);
      expect(intake.active).toBe(0);
      expect(passed).not.toHaveBeenCalled();
      away = [];
      expect(await handled).toBe('ack');
      expect(passed).toHaveBeenCalledOnce();
      expect(parsed(sent)).toMatchObject([{ error: { code: 'UNKNOWN_MODEL' }, attempt: 1 }]);
      expect(bodies(sent, 'jobs')).toEqual([]);
    });

    it('counts no attempt while its jobs stand aside, however often their worker dies', async () => {
      const { handler, objects, waitingRoom } = setUp();
      const message = delivery(job());
      for (const attempt of [1, 2, 3]) {
        const killed = new AbortController();
        const handled = handler()({ ...message, attempt }, killed.signal);
        await until(() => waitingRoom.parked === 1);
        killed.abort(new GivenBack('killed'));
        await handled;
        objects.forEach((_, name) => name.endsWith('.moved') && objects.delete(name));
      }
      expect([...objects.keys()].filter((name) => name.endsWith('.begun'))).toEqual([]);
    });

    it('answers a job that has ended, all the same', async () => {
      const { handler, sent } = setUp();
      away = [];
      await handler()(delivery(job()), never);
      away = ['x'];
      expect(await handler()(delivery(job()), never)).toBe('ack');
      expect(new Set(bodies(sent)).size).toBe(1);
    });

    it('ends one whose deadline passes while it stands aside', async () => {
      const { handler, sent } = setUp();
      const deadline = new Date(Date.now() + 150).toISOString();
      expect(await handler()(delivery({ ...job(), deadline }), never)).toBe('ack');
      expect(parsed(sent)).toMatchObject([{ status: 'expired', error: { code: 'DEADLINE_EXCEEDED' } }]);
    });

    it('puts back what stands aside when the worker stops', async () => {
      const { handler, sent, waitingRoom, intake } = setUp();
      const handled = handler()(delivery(job()), never);
      await until(() => waitingRoom.parked === 1);
      intake.close();
      expect(await handled).toBe('ack');
      expect(sent).toMatchObject([{ topic: 'jobs' }]);
    });
  });

  it('gives back what it has not begun when the worker stops, and puts back what has been given back before', async () => {
    const { handler, sent, intake } = setUp();
    intake.close();
    expect(await handler()(delivery(job('a'), 1), never)).toBe('nack');
    expect(await handler()(delivery(job('b'), 2), never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { attempts: '1' } }]);
  });

  it('lets the event loop go on for a job whose deadline has passed while its record cannot be read', async () => {
    const { handler, sent, fail, waitingRoom, buckets } = setUp();
    fail(() => {
      throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    const deadline = new Date(Date.now() - 1_000).toISOString();
    const handled = handler()(delivery({ ...job(), deadline }), never);
    await until(() => waitingRoom.parked === 1);
    fail(undefined);
    expect(await handled).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ status: 'expired', error: { code: 'DEADLINE_EXCEEDED' } }]);
    buckets.close();
  });

  it.each([
    ['no JSON', 'no'],
    ['JSON that is no record', '{"completion":{"status":"succeeded"}}'],
    ['too much of it', ' '.repeat(262_145)],
  ])('answers nothing while %s is in the place of a record, and goes on when that is mended', async (_, text) => {
    const { handler, sent, store, objects, waitingRoom, told } = setUp();
    await store.create({ bucket: 'state', name: 'a.json' }, Buffer.from(text), { contentType: '', signal: never });
    vi.useFakeTimers();
    const handled = handler()(delivery(job(), 1), never);
    await vi.waitUntil(() => waitingRoom.parked === 1);
    expect(sent).toEqual([]);
    // An operator sees it while the message still waits here.
    expect(told).toEqual(['received 1', 'unreadable a JobError']);
    objects.clear();
    await vi.advanceTimersByTimeAsync(60_000);
    vi.useRealTimers();
    expect(await handled).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ error: { code: 'UNKNOWN_MODEL' } }]);
  });

  it('repeats what a newer worker has decided, byte for byte, although it does not know all that it says', async () => {
    const { handler, sent, store } = setUp();
    const completion = {
      schemaVersion: 1,
      novelty: { b: 1, a: [2] },
      eventId: 'e'.repeat(32),
      jobId: 'a',
      status: 'postponed',
      error: { code: 'TOO_NEW', stage: 'somewhere', retryable: false, message: 'no worker of today knows it', hint: 1 },
      steps: [{ model: 'x', servedVersion: '1', plan: 'strips', requests: 0.5 }],
    };
    const record = { version: 7, fingerprint: fingerprint(parseJob(delivery(job()).data)), completion, model: 'x' };
    const bytes = Buffer.from(JSON.stringify(record));
    await store.create({ bucket: 'state', name: 'a.json' }, bytes, { contentType: '', signal: never });
    expect(await handler()(delivery(job(), 2), never)).toBe('ack');
    expect(bodies(sent)).toEqual([JSON.stringify(completion)]);
    expect(sent[0]?.attributes).toMatchObject({ status: 'postponed', errorCode: 'TOO_NEW', model: 'x' });
    expect(bodies(sent, 'dead-letters')).toEqual([]);
  });

  it('publishes the dead letter that a newer worker has decided on', async () => {
    const { handler, sent, store } = setUp();
    const completion = { eventId: 'e', jobId: 'a', status: 'failed', error: { code: 'TOO_NEW', message: 'x' } };
    const record = { fingerprint: null, deadLetter: true, completion };
    const bytes = Buffer.from(JSON.stringify(record));
    await store.create({ bucket: 'state', name: 'a.json' }, bytes, { contentType: '', signal: never });
    expect(await handler()(delivery(job()), never)).toBe('ack');
    expect(sent.map(({ topic }) => topic)).toEqual(['dead-letters', 'completions']);
  });

  it('tells its observer of everything that it does, when it is done', async () => {
    const { handler, told, fail } = setUp();
    const handle = handler();
    await handle(delivery(job()), never);
    await handle(delivery(job(), 2), never);
    expect(told.splice(0)).toEqual(['received 1', 'ended UNKNOWN_MODEL', 'received 2', 'replayed UNKNOWN_MODEL']);
    await handle(delivery('nonsense'), never);
    expect(told.splice(0)).toEqual(['received 1', 'dead letter INVALID_MESSAGE', 'ended INVALID_MESSAGE']);
    fail((operation, uri) => {
      if (operation === 'read' && uri.endsWith('b.json')) throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    await handle(delivery(job('b')), never);
    expect(told.splice(0)).toEqual(['received 1', 'deferred JobError']);
  });

  it.each([
    { what: 'an unreadable message', body: '{"jobId":"known","nonsense":1}', code: 'INVALID_MESSAGE' },
    { what: 'a job whose id is taken', body: JSON.stringify(job('known')), code: 'JOB_ID_REUSED' },
  ])('gives every delivery of $what the same completion, also where it was put back', async ({ body, code }) => {
    const { handler, sent, breakTopic } = setUp();
    const handle = handler();
    await handle(delivery(JSON.stringify({ ...job('known'), operations: ['y'] })), never);
    sent.length = 0;
    const message = delivery(body);
    await handle(message, never);
    await handle({ ...message, attempt: 2 }, never);
    breakTopic('completions');
    await handle({ ...message, attempt: 4 }, never); // its deliveries are used up: it is put back
    breakTopic();
    const copy = sent.find(({ topic }) => topic === 'jobs');
    await handle({ ...message, messageId: 'copy', attributes: copy?.attributes ?? {} }, never);
    const [first, ...others] = bodies(sent);
    expect(others).toEqual([first, first]);
    expect(parsed(sent)[0]).toMatchObject({ jobId: 'known', messageId: message.messageId, error: { code } });
  });
});
