/** An outside publisher, who sees completions and dead letters as they come. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@google-cloud/pubsub';
import type { Completion } from '../../src/domain/completion.js';
import type { JobMessage } from '../../src/domain/job.js';
import type { Parts } from './ground.js';

export interface Published {
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly completion: Completion;
  /** When it was seen, on the clock of `performance.now()`. */
  readonly at: number;
}

export interface Traffic {
  /** Publishes them all at once, in this order; what is no job goes as it is. */
  publish(jobs: readonly (JobMessage | string)[]): Promise<void>;
  /** Everything that was said, repetitions included. */
  readonly completions: readonly Published[];
  /** The first completion of each job, and of each message that is none. */
  readonly ended: readonly Ended[];
  readonly deadLetters: readonly Published[];
  /** Waits for so many ends in all. */
  until(count: number): Promise<void>;
  /** Publishes them and waits until so many more have ended. @returns these ends, and when it began */
  through(
    jobs: readonly (JobMessage | string)[],
  ): Promise<{ readonly ended: readonly Ended[]; readonly begin: number }>;
  /** Ends per second in that time, in milliseconds of `performance.now()`, of those that `counts`. */
  rate(from: number, to: number, counts?: (completion: Completion) => boolean): number;
  /** Milliseconds since the last completion or dead letter. */
  quietMs(): number;
  close(): Promise<void>;
}

const LIMIT_MS = 900_000;

export function openTraffic({ pubsub, env, completionsSubscription }: Parts): Traffic {
  const ended: Ended[] = [];
  const seen = new Set<string>();
  let lastAt = performance.now();
  const listen = (name: string, onMessage?: (body: string) => void) => {
    const subscription = pubsub.subscription(name);
    const published: Published[] = [];
    subscription.on('message', (message: Message) => {
      const body = message.data.toString('utf8');
      lastAt = performance.now();
      published.push({ body, attributes: message.attributes });
      onMessage?.(body);
      message.ack();
    });
    return { published, close: () => subscription.close() };
  };
  const completions = listen(completionsSubscription, (body) => {
    const completion = JSON.parse(body) as Completion;
    if (!seen.has(completion.eventId)) ended.push({ completion, at: performance.now() });
    seen.add(completion.eventId);
  });
  const deadLetters = listen(env.IMAGEN_DEAD_LETTER_SUBSCRIPTION);
  const topic = pubsub.topic(env.IMAGEN_JOBS_TOPIC);
  const traffic: Traffic = {
    ...{ ended, completions: completions.published, deadLetters: deadLetters.published },
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
    async through(jobs) {
      const [begin, before] = [performance.now(), ended.length];
      await traffic.publish(jobs);
      await traffic.until(before + jobs.length);
      return { begin, ended: ended.slice(before) };
    },
    rate(from, to, counts = () => true) {
      const count = ended.filter(({ at, completion }) => at >= from && at < to && counts(completion)).length;
      return count / ((to - from) / 1000);
    },
    quietMs: () => performance.now() - lastAt,
    async close() {
      await Promise.all([completions.close(), deadLetters.close()]);
    },
  };
  return traffic;
}
