import { describe, expect, it } from 'vitest';
import type { Completion } from '../../../src/domain/completion.js';
import { NO_CAPACITY } from '../../../src/domain/contract.js';
import { JobError } from '../../../src/domain/errors.js';
import type { Delivery, ModelServer, ObjectInfo, ObjectStore, Publisher } from '../../../src/domain/ports.js';
import { NO_ROUTES } from '../../../src/domain/routes.js';
import { objectUri } from '../../../src/domain/uri.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { createFairShare } from '../../../src/worker/fair-share.js';
import { createHandler } from '../../../src/worker/handle.js';
import { createIntake } from '../../../src/worker/intake.js';

const ONE_ATTEMPT = { unavailableMs: 0, failedAttempts: 1 };

/*
 * What real parts cannot be made to do at will: a publish that fails at the worst moment, a record that appears between
 * two steps, storage that is away for exactly one call. Jobs here end before any inference.
 */
function memoryStore() {
  const objects = new Map<string, { bytes: Buffer; info: ObjectInfo }>();
  let failing: ((operation: 'read' | 'create', uri: string) => void) | undefined;
  const store = {
    read: (ref) => {
      failing?.('read', objectUri(ref));
      const found = objects.get(objectUri(ref));
      return Promise.resolve(found ? { kind: 'found', bytes: found.bytes, generation: '1' } : { kind: 'missing' });
    },
    stat: (ref) => Promise.resolve(objects.get(objectUri(ref))?.info),
    create: (ref, bytes, { contentType, metadata = {} }) => {
      failing?.('create', objectUri(ref));
      const found = objects.get(objectUri(ref));
      if (found) return Promise.resolve({ kind: 'exists', info: found.info, sameBytes: found.bytes.equals(bytes) });
      const info = { generation: '1', bytes: bytes.length, contentType, crc32c: '', metadata };
      objects.set(objectUri(ref), { bytes, info });
      return Promise.resolve({ kind: 'created', info });
    },
  } satisfies ObjectStore;
  return { store, objects, fail: (how: typeof failing) => (failing = how) };
}

const models = {
  contracts: () => new Map(),
  unready: () => new Map(),
  refresh: () => Promise.resolve(),
  statistics: () => Promise.resolve([]),
  infer: () => Promise.reject(new JobError('INFERENCE_FAILED', 'not reached')),
} satisfies ModelServer;

function setUp() {
  const memory = memoryStore();
  const sent: { topic: string; body: string; attributes: Readonly<Record<string, string>> }[] = [];
  let broken: string | undefined;
  const publisher = (topic: string) =>
    ({
      publish: (data, attributes) => {
        if (broken === topic) return Promise.reject(new Error('not accepted'));
        sent.push({ topic, body: data.toString(), attributes });
        return Promise.resolve();
      },
    }) satisfies Publisher;
  const handler = () =>
    createHandler(
      {
        store: memory.store,
        models,
        intake: createIntake(4),
        share: createFairShare({ capacityOf: () => NO_CAPACITY, costOf: () => DEFAULT_COST, retry: ONE_ATTEMPT }),
        completions: publisher('completions'),
        deadLetters: publisher('dead-letters'),
        observer: { ended: () => undefined, givenBack: () => undefined },
      },
      {
        statePrefix: 'gs://state',
        maxAttempts: 3,
        worker: 'w',
        pipeline: {
          maxInputPixels: 1,
          maxOutputPixels: 1,
          predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }),
          reserve: () => Promise.resolve(() => undefined),
          fetch: { allowedInputs: [], maxBytes: 1 },
          target: { outputPrefix: 'gs://out', allowedOutputs: [] },
          route: () => ({ routes: NO_ROUTES, waitMs: 0 }),
        },
      },
    );
  return { ...memory, sent, handler, breakTopic: (topic?: string) => (broken = topic) };
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

  it('gives the message back when the record cannot be read or written', async () => {
    const { handler, sent, fail } = setUp();
    const handle = handler();
    for (const operation of ['read', 'create'] as const) {
      fail((given) => {
        if (given === operation) throw new JobError('STORAGE_UNAVAILABLE', 'away');
      });
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
    const { handler, sent } = setUp();
    expect(await handler()(delivery(job(), 4), never)).toBe('ack');
    expect(parsed(sent)).toMatchObject([{ status: 'failed', error: { code: 'WORKER_LOST' } }]);
    expect(bodies(sent, 'dead-letters')).toHaveLength(1);
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
