import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@google-cloud/pubsub';
import type { Completion } from '../../../src/domain/completion.js';
import type { JobMessage } from '../../../src/domain/job.js';
import type { Parts } from '../ground.js';
import { startWorker, type Worker } from '../../dev/workers.js';

export interface Ended {
  readonly completion: Completion;
  /** When it was seen, on the clock of `performance.now()`. */
  readonly at: number;
}

/** An outside publisher, who sees completions and dead letters as they come. */
export interface Traffic {
  /** Publishes them all at once, in this order; what is no job goes as it is. */
  publish(jobs: readonly (JobMessage | string)[]): Promise<void>;
  /** The first completion of each job, and of each message that is none. */
  readonly ended: readonly Ended[];
  readonly deadLetters: number;
  /** Waits for so many in all. */
  until(count: number): Promise<void>;
  /** Ends per second in that time, in milliseconds of `performance.now()`, of those that `counts`. */
  rate(from: number, to: number, counts?: (completion: Completion) => boolean): number;
  close(): Promise<void>;
}

const LIMIT_MS = 600_000;

/** @param name of the subscription to the completions */
export function openTraffic({ pubsub, env }: Parts, name: string): Traffic {
  const ended: Ended[] = [];
  const seen = new Set<string>();
  let deadLetters = 0;
  const completions = pubsub.subscription(name);
  completions.on('message', (message: Message) => {
    const completion = JSON.parse(message.data.toString()) as Completion;
    if (!seen.has(completion.eventId)) ended.push({ completion, at: performance.now() });
    seen.add(completion.eventId);
    message.ack();
  });
  const review = pubsub.subscription(env.IMAGEN_DEAD_LETTER_SUBSCRIPTION);
  review.on('message', (message: Message) => {
    deadLetters++;
    message.ack();
  });
  const topic = pubsub.topic(env.IMAGEN_JOBS_TOPIC);
  return {
    ended,
    get deadLetters() {
      return deadLetters;
    },
    async publish(jobs) {
      const bodies = jobs.map((job) => Buffer.from(typeof job === 'string' ? job : JSON.stringify(job)));
      await Promise.all(bodies.map((data) => topic.publishMessage({ data })));
    },
    async until(count) {
      const giveUpAt = performance.now() + LIMIT_MS;
      while (ended.length < count) {
        if (performance.now() > giveUpAt) throw new Error(`${ended.length} of ${count} ended`);
        await sleep(20);
      }
    },
    rate(from, to, counts = () => true) {
      const count = ended.filter(({ at, completion }) => at >= from && at < to && counts(completion)).length;
      return count / ((to - from) / 1000);
    },
    async close() {
      await Promise.all([completions.close(), review.close()]);
    },
  };
}

/** Runs so many workers beside the work, each with a name of its own. */
export async function withWorkers<T>(parts: Parts, count: number, work: () => Promise<T>): Promise<T> {
  const workers: Worker[] = [];
  try {
    for (let i = 0; i < count; i++) workers.push(await startWorker({ ...parts.env, HOSTNAME: `worker-${i}` }));
    return await work();
  } finally {
    for (const worker of workers) worker.signal('SIGTERM');
    await Promise.all(workers.map(({ exit }) => exit));
  }
}
