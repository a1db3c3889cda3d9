import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Completion } from '../../../src/domain/completion.js';
import { NO_CAPACITY } from '../../../src/domain/contract.js';
import { JobError } from '../../../src/domain/errors.js';
import type { Delivery, ModelServer, Publisher } from '../../../src/domain/ports.js';
import { NO_ROUTES } from '../../../src/domain/routes.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { createFairShare } from '../../../src/worker/fair-share.js';
import { createCircuits } from '../../../src/worker/circuits.js';
import { createHandler } from '../../../src/worker/handle.js';
import { createIntake } from '../../../src/worker/intake.js';
import { createParking } from '../../../src/worker/parking.js';
import { memoryStore } from '../../support/memory-store.js';

const DAY_MS = 86_400_000;
const ONE_ATTEMPT = { unavailableMs: 0, failedAttempts: 1 };

/*
 * What real parts cannot be made to do at will: a publish that fails at the worst moment, a record that appears between
 * two steps, storage that is away for exactly one call. Jobs here end before any inference.
 */

/** Models that the server knows and cannot serve. */
let away: string[] = [];

const models = {
  contracts: () => new Map(),
  unready: () => new Map(away.map((name) => [name, 'unloaded'])),
  refresh: () => Promise.resolve(),
  statistics: () => Promise.resolve([]),
  infer: () => Promise.reject(new JobError('INFERENCE_FAILED', 'not reached')),
} satisfies ModelServer;

function setUp() {
  const memory = memoryStore();
  const sent: { topic: string; body: string; attributes: Readonly<Record<string, string>> }[] = [];
  const told: string[] = [];
  let broken: string | undefined;
  const publisher = (topic: string) =>
    ({
      publish: (data, attributes) => {
        if (broken === topic) return Promise.reject(new Error('not accepted'));
        sent.push({ topic, body: data.toString(), attributes });
        return Promise.resolve();
      },
    }) satisfies Publisher;
  const circuits = createCircuits(models);
  const intake = createIntake(4);
  const parking = createParking({ room: 1, starving: () => true, circuits, refresh: () => undefined });
  const handler = () =>
    createHandler(
      {
        store: memory.store,
        models,
        intake,
        circuits,
        parking,
        jobs: publisher('jobs'),
        share: createFairShare({ capacityOf: () => NO_CAPACITY, costOf: () => DEFAULT_COST, retry: ONE_ATTEMPT }),
        completions: publisher('completions'),
        deadLetters: publisher('dead-letters'),
        observer: {
          received: ({ attempt }) => told.push(`received ${attempt}`),
          ended: ({ completion, replay, tookMs, publishMs }) => {
            expect(tookMs).toBeGreaterThanOrEqual(publishMs);
            told.push(`${replay ? 'replayed' : 'ended'} ${completion.error?.code ?? completion.status}`);
          },
          deadLettered: ({ error }) => told.push(`dead letter ${error?.code ?? ''}`),
          deferred: (_delivery, error) => told.push(`deferred ${error.name}`),
          givenBack: (_delivery, error) => told.push(`given back: ${error.message}`),
        },
      },
      {
        statePrefix: 'gs://state',
        maxAttempts: 3,
        maxDeferredMs: DAY_MS,
        watchMs: 20,
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
        },
      },
    );
  return { ...memory, sent, told, intake, parking, handler, breakTopic: (topic?: string) => (broken = topic) };
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
  it('does not ack before the completion is accepted, and then publishes what the record holds', async () => {
    const { handler, sent, breakTopic, objects } = setUp();
    const handle = handler();
    breakTopic('completions');
    expect(await handle(delivery(job()), never)).toBe('nack');
    expect([...objects.keys()]).toEqual(['gs://state/a.json']);
    breakTopic();
    expect(await handle(delivery(job(), 2), never)).toBe('ack');
    const [completion] = parsed(sent);
    expect(completion).toMatchObject({ error: { code: 'UNKNOWN_MODEL' }, attempt: 1 });
  });

  it('does not ack before the dead letter is accepted either', async () => {
    const { handler, sent, breakTopic } = setUp();
    const handle = handler();
    breakTopic('dead-letters');
    expect(await handle(delivery('nonsense'), never)).toBe('nack');
    expect(sent).toEqual([]);
    breakTopic();
    expect(await handle(delivery('nonsense', 2), never)).toBe('ack');
    expect(bodies(sent, 'dead-letters')).toEqual(['nonsense']);
    expect(sent[0]?.attributes).toMatchObject({ origin: 'test', errorCode: 'INVALID_MESSAGE' });
    expect(sent[0]?.attributes).not.toHaveProperty('googclient_x');
  });

  it('gives the message back when it can neither be worked on nor put back', async () => {
    const { handler, sent, fail, breakTopic } = setUp();
    const handle = handler();
    for (const operation of ['read', 'create'] as const) {
      fail((given) => {
        if (given === operation) throw new JobError('STORAGE_UNAVAILABLE', 'away');
      });
      breakTopic('jobs');
      expect(await handle(delivery(job()), never)).toBe('nack');
    }
    expect(sent).toEqual([]);
    fail(undefined);
    expect(await handle(delivery(job(), 3), never)).toBe('ack');
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

  it('ends a job whose attempts are used up, with a dead letter, without working on it', async () => {
    const { handler, sent, fail } = setUp();
    const handle = handler();
    const message = delivery(job(), 2);
    fail((operation, uri) => {
      if (operation === 'create' && uri.endsWith('a.json')) throw new Error('the worker dies here');
    });
    for (const attempt of [2, 3]) expect(await handle({ ...message, attempt }, never)).toBe('nack');
    fail(undefined);
    expect(await handle({ ...message, attempt: 4 }, never)).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ status: 'failed', error: { code: 'WORKER_LOST' } }]);
    expect(bodies(sent, 'dead-letters')).toHaveLength(1);
  });

  it('counts only attempts that have begun against a job whose deliveries are used up', async () => {
    const { handler, sent, fail } = setUp();
    const handle = handler();
    const message = delivery(job());
    // The second delivery is begun and cannot be ended; the third lay in a worker that died.
    fail((operation, uri) => {
      if (operation === 'create' && uri.endsWith('a.json')) throw new Error('the worker dies here');
    });
    expect(await handle({ ...message, attempt: 2 }, never)).toBe('nack');
    fail(undefined);
    expect(await handle({ ...message, attempt: 4 }, never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', attributes: { attempts: '2' } }]);
    // Its copy has one attempt left, and is worked on.
    const copy = { ...message, messageId: 'copy', attributes: sent[0]?.attributes ?? {}, attempt: 1 };
    expect(await handle(copy, never)).toBe('ack');
    expect(parsed(sent.slice(1))).toMatchObject([{ error: { code: 'UNKNOWN_MODEL' }, attempt: 3 }]);
  });

  it('puts a job back, with its attempts uncounted, when storage is away', async () => {
    const { handler, sent, fail } = setUp();
    fail(() => {
      throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    const message = delivery(job(), 2);
    expect(await handler()(message, never)).toBe('ack');
    expect(sent).toMatchObject([{ topic: 'jobs', body: message.data.toString() }]);
    expect(sent[0]?.attributes).toMatchObject({ origin: 'test', deferrals: '1', attempts: '1' });
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
      const { handler, sent, parking, intake } = setUp();
      const handled = handler()(delivery(job()), never);
      await until(() => parking.parked === 1);
      expect(intake.active).toBe(0);
      away = [];
      expect(await handled).toBe('ack');
      expect(parsed(sent)).toMatchObject([{ error: { code: 'UNKNOWN_MODEL' }, attempt: 1 }]);
      expect(bodies(sent, 'jobs')).toEqual([]);
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
      const { handler, sent, parking, intake } = setUp();
      const handled = handler()(delivery(job()), never);
      await until(() => parking.parked === 1);
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

  it('tells what stands in the place of a record, and works on nothing', async () => {
    const { handler, sent, store, objects } = setUp();
    await store.create({ bucket: 'state', name: 'a.json' }, Buffer.from('no'), { contentType: '', signal: never });
    const handle = handler();
    for (const attempt of [1, 2]) expect(await handle(delivery(job(), attempt), never)).toBe('ack');
    expect(parsed(sent)[0]).toMatchObject({ status: 'failed', error: { code: 'INTERNAL', stage: 'recall' } });
    expect(objects.size).toBe(1);
  });

  it('tells its observer of everything that it does, when it is done', async () => {
    const { handler, told, breakTopic, fail } = setUp();
    const handle = handler();
    await handle(delivery(job()), never);
    await handle(delivery(job(), 2), never);
    expect(told.splice(0)).toEqual(['received 1', 'ended UNKNOWN_MODEL', 'received 2', 'replayed UNKNOWN_MODEL']);
    await handle(delivery('nonsense'), never);
    expect(told.splice(0)).toEqual(['received 1', 'dead letter INVALID_MESSAGE', 'ended INVALID_MESSAGE']);
    breakTopic('completions');
    await handle(delivery('nonsense'), never);
    expect(told.splice(0)).toEqual(['received 1', 'dead letter INVALID_MESSAGE', 'given back: not accepted']);
    breakTopic();
    fail(() => {
      throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    await handle(delivery(job('b')), never);
    expect(told.splice(0)).toEqual(['received 1', 'deferred JobError']);
  });

  it('gives every delivery of an unreadable message the same completion', async () => {
    const { handler, sent } = setUp();
    const message = delivery('{"jobId":"known","nonsense":1}');
    const handle = handler();
    await handle(message, never);
    await handle({ ...message, attempt: 2 }, never);
    const [first, second] = bodies(sent);
    expect(second).toBe(first);
    expect(parsed(sent)[0]?.jobId).toBe('known');
  });
});
