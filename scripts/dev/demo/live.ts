/**
 * The live page, as a process of its own: `npm run demo -- --keep` starts it. Its environment is that of a worker, and
 *
 *   PAGE_PORT        TCP for browsers, UDP for the steps of workers (tell-steps.js)
 *   WORKER_METRICS   address of a worker's metrics; optional
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createObjectStore } from '../../../src/adapters/gcs/store.js';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import { createPublisher } from '../../../src/adapters/pubsub/publisher.js';
import { connectTriton } from '../../../src/adapters/triton/server.js';
import { createClient } from '../../../src/client/index.js';
import { readConfig } from '../../../src/config/index.js';
import { OUTPUT_FORMATS } from '../../../src/domain/job.js';
import { STAGES } from '../../../src/domain/errors.js';
import type { StepDone } from '../../../src/pipeline/step-done.js';
import { giveUpOnSignals } from '../give-up.js';
import { watchTopic } from '../../../src/adapters/pubsub/watch-topic.js';
import { BOARD_LIMIT, createBoard, STRIP } from './live/board.js';
import { submitBurst } from './live/burst.js';
import { createFeed } from './live/feed.js';
import { samples } from './live/files.js';
import { beginning, readPicture } from './live/pictures.js';
import { MAX_BODY_BYTES, startPageServer } from './live/server.js';
import { submit, type SubmitParts } from './live/submit.js';
import { RECENT_MS, watchModels } from './live/models.js';
import { wordsOfCodes } from './live/words.js';

const stepSchema = z.object({
  jobId: z.string().max(256),
  attempt: z.int().nonnegative(),
  step: z.enum([...STAGES, 'publish']),
});

const LIMIT_MS = 30_000;
const LAST_WORDS_MS = 5_000;

const ended = giveUpOnSignals();
const config = readConfig(process.env, [
  ...(['projectId', 'pubsubEmulator', 'storageEmulator', 'tritonUrl', 'jobsTopic', 'completionsTopic'] as const),
  ...(['uploadPrefix', 'allowedInputs', 'allowedOutputs'] as const),
]);
const { projectId, allowedInputs, allowedOutputs, uploadPrefix } = config;
const port = Number(process.env.PAGE_PORT);

const store = createObjectStore({ emulator: config.storageEmulator });
const connection = { projectId, emulator: config.pubsubEmulator };
const channel = new PubSubChannel(connection);
const topic = createPublisher(channel, config.jobsTopic);
const triton = connectTriton({ url: config.tritonUrl, transport: 'unary' });

const board = createBoard({ allowedInputs, allowedOutputs, onChange: () => feed.stir() });
const client = createClient({ env: process.env });
const state = () => ({ now: Date.now(), facts: board.facts(), triton: watch.view() });
const words = wordsOfCodes();
const fixed = { strip: STRIP, samples, formats: OUTPUT_FORMATS, beginning, limit: BOARD_LIMIT, words };
const feed = createFeed({
  snapshot: () => ({ ...state(), ...fixed, jobs: board.jobs(), maxBytes: MAX_BODY_BYTES, recentMs: RECENT_MS }),
  changes: () => ({ ...state(), ...board.takeChanges() }),
});
const watch = await watchModels(triton, process.env.WORKER_METRICS, () => feed.stir());
const onError = (error: unknown) => console.error(error);
const jobs = await watchTopic(channel, config.jobsTopic, (delivery) => board.arrived(delivery), onError);
const completions = await watchTopic(channel, config.completionsTopic, ({ data }) => board.ended(data), onError);
const stopHearing = await hearSteps(port, (step) => board.stepped(step));
const server = await startPageServer(port, {
  feed,
  submit: (order) => submit(order, submitParts()),
  burst: (operations) => submitBurst(operations, submitParts()),
  async cancel(key) {
    const jobId = board.cancelable(key);
    if (jobId === undefined) return undefined;
    // It may have been published by a program that leaves nothing but the message.
    const { state } = await client.cancel(jobId, { force: true, signal: AbortSignal.timeout(LIMIT_MS) });
    if (state === 'canceled') board.canceled(key);
    return state;
  },
  async picture(key, side) {
    const ref = board.picture(key, side);
    return ref && readPicture(store, ref, AbortSignal.timeout(LIMIT_MS));
  },
});
console.log(server.url);
const clock = setInterval(() => feed.stir(), 5_000);

const told = new Promise<undefined>((resolve) => ended.addEventListener('abort', () => resolve(undefined)));
const reason = await Promise.race([told, jobs.closed, completions.closed]);
if (reason) console.error(reason.message);
clearInterval(clock);
feed.close();
watch.stop();
stopHearing();
const stopped = Promise.allSettled([server.close(), jobs.stop(), completions.stop(), triton.close(), client.close()]);
await Promise.race([stopped.then(() => channel.close()), sleep(LAST_WORDS_MS)]);
process.exit(reason ? 1 : 0);

function submitParts(): SubmitParts {
  return { board, uploadPrefix, door: { store, topic, signal: AbortSignal.timeout(LIMIT_MS) } };
}

/** Listens on a UDP port of this machine. @returns what ends it */
async function hearSteps(port: number, onStep: (step: StepDone) => void): Promise<() => void> {
  const socket = createSocket('udp4');
  socket.on('message', (data) => {
    const step = readStep(data);
    if (step) onStep(step);
  });
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return () => socket.close();
}

function readStep(data: Buffer): StepDone | undefined {
  try {
    return stepSchema.parse(JSON.parse(data.toString('utf8')));
  } catch {
    return undefined; // anybody on this machine may send anything
  }
}
