/** Each connection through a proxy that does it harm: nothing outlives its limit by more than a second, and it works again afterwards. */
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../scripts/lab/faults/proxy.js';
import { createObjectStore } from '../../src/adapters/gcs/store.js';
import { PubSubChannel } from '../../src/adapters/pubsub/channel.js';
import { createPublisher } from '../../src/adapters/pubsub/publisher.js';
import { createJobSource } from '../../src/adapters/pubsub/source.js';
import type { JobSource, ObjectStore, Publisher } from '../../src/domain/ports.js';
import { retryingStore } from '../../src/pipeline/retry.js';
import { endOf } from '../support/bounded.js';
import { createScene, type Scene, until } from '../support/scene.js';

const patient = new AbortController().signal;

describe('Cloud Storage', () => {
  const LIMITS = { requestMs: 700, idleMs: 700 };
  const picture = randomBytes(400_000);
  let scene: Scene;
  let proxy: FaultProxy;
  let store: ObjectStore;
  let retrying: ObjectStore;
  const input = () => ({ bucket: `uploads-${scene.id}`, name: 'a.png' });
  const output = (name: string) => ({ bucket: `results-${scene.id}`, name });
  const read = (from: ObjectStore) => from.read(input(), { maxBytes: 1_000_000, signal: patient });
  const create = (to: ObjectStore, name: string) =>
    to.create(output(name), picture, { contentType: 'image/png', signal: patient });

  beforeAll(async () => {
    scene = await createScene();
    await scene.upload('a.png', picture);
  });
  afterAll(() => scene.close());
  beforeEach(async () => {
    const { STORAGE_EMULATOR_HOST } = scene.env;
    proxy = await FaultProxy.before(new URL(STORAGE_EMULATOR_HOST).host);
    store = createObjectStore({ emulator: `http://${proxy.address}` }, LIMITS);
    retrying = retryingStore(store, { unavailableMs: 10_000, failedAttempts: 1 });
    // Four connections that will be idle when the harm is done.
    await Promise.all([1, 2, 3, 4].map(() => read(store)));
  });
  afterEach(() => proxy.close());

  const arrives = async () => {
    const found = await read(retrying);
    expect(found.kind === 'found' && found.bytes.equals(picture)).toBe(true);
  };
  let created = 0;
  const worksAgain = async () => {
    await arrives();
    expect(await create(retrying, `again-${++created}`)).toMatchObject({ kind: 'created' });
  };

  it('black hole, of the open connections: one attempt is lost, and the next has a new one', async () => {
    proxy.blackHole();
    expect(await endOf(LIMITS.requestMs, store.stat(input(), patient))).toBe('STORAGE_UNAVAILABLE');
    expect(await endOf(100, store.stat(input(), patient))).toBe('ok');
    // A connection is free for the next request one turn of the event loop after its answer.
    await nextTurn();
    proxy.blackHole();
    expect(await endOf(LIMITS.requestMs + 400, create(store, 'unseen'))).toBe('STORAGE_UNAVAILABLE');
    await worksAgain();
  });

  it('black hole, of new connections too', async () => {
    proxy.blackHole('swallow');
    const ends = () => [
      endOf(LIMITS.requestMs, store.stat(input(), patient)),
      endOf(LIMITS.requestMs, read(store)),
      endOf(LIMITS.requestMs + 400, create(store, 'unseen')),
    ];
    for (let i = 0; i < 2; i++) expect(await Promise.all(ends())).toEqual(Array(3).fill('STORAGE_UNAVAILABLE'));
    expect(proxy.counts.swallowed).toBeGreaterThan(0);
    // Requests that were given up do not keep their connections.
    await until(
      () => proxy.open <= proxy.counts.blackHoled,
      2_000,
      () => `${proxy.open} open, ${JSON.stringify(proxy.counts)}`,
    );
    proxy.heal();
    await worksAgain();
  });

  it('a body that is cut, and one that stalls', async () => {
    proxy.cutNext(200_000);
    expect(await endOf(LIMITS.requestMs + LIMITS.idleMs, read(store))).toBe('STORAGE_UNAVAILABLE');
    expect(proxy.counts.cut).toBe(1);
    await worksAgain();

    proxy.cutNext(200_000);
    await arrives();
    proxy.cutNext(200_000, 'silence');
    expect(await endOf(LIMITS.requestMs + LIMITS.idleMs, read(store))).toBe('STORAGE_UNAVAILABLE');
    await worksAgain();
    proxy.stall(3_000);
    expect(await endOf(LIMITS.requestMs, read(store))).toBe('STORAGE_UNAVAILABLE');
    await worksAgain();
  });

  it('reset in the middle, and connecting refused', async () => {
    const before = proxy.counts.accepted;
    const many = Array.from({ length: 8 }, (_, i) => create(retrying, `r-${i}`));
    // Four of them need a new connection. When those are there, the uploads are on their way.
    await until(() => proxy.counts.accepted >= before + 4, 2_000);
    proxy.reset();
    // After a lost answer the retry finds what the first attempt has written.
    for (const done of await Promise.all(many)) expect(done.kind === 'created' || done.sameBytes).toBe(true);
    expect(proxy.counts.reset).toBeGreaterThan(0);

    const over = proxy.refuse(1_000);
    proxy.reset();
    expect(await endOf(200, store.stat(input(), patient))).toBe('STORAGE_UNAVAILABLE');
    await worksAgain();
    await over;
  });
});

describe('Pub/Sub', () => {
  const PINGS = { everyMs: 1_000, answerMs: 1_000 };
  const LIMIT_MS = 1_500;
  /** How long to wait for a message before the next one is published, in milliseconds. */
  const ARRIVES_MS = 200;
  /** Without a message for so long, an emulator has had four pings. It might end the connection at any of them. */
  const IDLE_MS = 4.5 * PINGS.everyMs;
  let scene: Scene;
  let proxy: FaultProxy;
  let source: JobSource;
  let publisher: Publisher;
  let seen: string[];
  const clients: { close(): void }[] = [];

  beforeEach(async () => {
    scene = await createScene();
    proxy = await FaultProxy.before(scene.env.PUBSUB_EMULATOR_HOST);
    const connect = () => {
      const client = new PubSubChannel({
        ...{ projectId: scene.env.GOOGLE_CLOUD_PROJECT, emulator: proxy.address, pings: PINGS },
      });
      clients.push(client);
      return client;
    };
    seen = [];
    source = createJobSource(connect(), scene.env.IMAGEN_JOBS_SUBSCRIPTIONS, {
      ...{ maxMessages: 10, maxExtensionSeconds: 60, onError: () => undefined },
    });
    source.start((delivery) => {
      seen.push(delivery.data.toString());
      return Promise.resolve('ack');
    });
    publisher = createPublisher(connect(), scene.env.IMAGEN_JOBS_TOPIC, LIMIT_MS);
    await flows('first', 10_000);
  });
  afterEach(async () => {
    await source.stop(1_000);
    proxy.close();
    for (const client of clients.splice(0)) client.close();
    await scene.close();
  });

  /**
   * Publishes past the proxy until a message comes through it; the emulator gives the first one after a fault to the pull
   * that it had under way, and so not again for an ack deadline.
   * @returns after how many milliseconds
   */
  async function flows(text: string, limitMs: number): Promise<number> {
    const begun = performance.now();
    const here = () => seen.some((one) => one.startsWith(text));
    const arrives = () =>
      until(here, ARRIVES_MS).then(
        () => true,
        () => false,
      );
    for (let i = 0; !here(); i++) {
      expect(performance.now() - begun, `${text} among ${seen.join()}`).toBeLessThan(limitMs);
      await scene.publishRaw(`${text} ${i}`);
      await arrives();
    }
    return performance.now() - begun;
  }
  const publish = (text: string) => publisher.publish(Buffer.from(text), {});

  it('black hole: a dead stream is noticed, and messages flow again', async () => {
    proxy.blackHole();
    // A ping is sent, its answer does not come, and the stream begins again.
    await flows('after', PINGS.everyMs + PINGS.answerMs + 8_000);
  });

  it('black hole: a publish settles within its limit, and the next works', async () => {
    await publish('before');
    proxy.blackHole();
    expect(await endOf(LIMIT_MS, publish('lost'))).not.toBe('ok');
    expect(await endOf(LIMIT_MS, publish('next'))).toBe('ok');
    await flows('later', 10_000);
  });

  it('black hole of new connections too, until it heals', async () => {
    proxy.blackHole('swallow');
    expect(await endOf(LIMIT_MS, publish('lost'))).not.toBe('ok');
    // A dead connection has been given up, and the new one is swallowed.
    await until(() => proxy.counts.swallowed > 0, 10_000);
    proxy.heal();
    await flows('healed', 10_000);
    expect(await endOf(LIMIT_MS, publish('next'))).toBe('ok');
  });

  it('reset, stall and refusal: it goes on by itself', async () => {
    proxy.reset();
    await flows('reset', 10_000);
    proxy.stall(1_500);
    await flows('stalled', 10_000);
    void proxy.refuse(1_000);
    proxy.reset();
    await flows('refused', 10_000);
    expect(await endOf(LIMIT_MS, publish('next'))).toBe('ok');
  });

  it('is not taken for an attacker by an emulator that has nothing to say', async () => {
    const before = proxy.counts.accepted;
    await sleep(IDLE_MS);
    expect(await flows('idle', 2_000)).toBeLessThan(1_000);
    expect(proxy.counts.accepted).toBe(before);
  });
});
