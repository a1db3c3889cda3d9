/** Publishes jobs and collects their completions and dead letters, through Google's clients. */
import type { Message } from '@google-cloud/pubsub';
import type { Completion } from '../../src/domain/completion.js';
import type { JobMessage } from '../../src/domain/job.js';
import { until } from '../dev/until.js';
import type { Parts } from './parts.js';

interface Published {
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly completion: Completion;
  /** When it was seen, on the clock of `performance.now()`. */
  readonly at: number;
}

export type Traffic = ReturnType<typeof openTraffic>;

const LIMIT_MS = 900_000;

export function openTraffic({ pubsub, env, completionsSubscription }: Parts) {
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
  /** Publishes them all at once, in this order; what is no job goes as it is. */
  const publish = async (jobs: readonly (JobMessage | string)[]) => {
    const bodies = jobs.map((job) => Buffer.from(typeof job === 'string' ? job : JSON.stringify(job)));
    await Promise.all(bodies.map((data) => topic.publishMessage({ data })));
  };
  const untilEnded = (count: number) =>
    until(() => ended.length >= count, { everyMs: 20, limitMs: LIMIT_MS, what: `${count} jobs have ended` });
  return {
    ...{ publish, untilEnded },
    /** Everything that was said, repetitions included. */
    ...{ completions: completions.published, deadLetters: deadLetters.published },
    /** The first completion of each job, and of each message that is none. */
    ended: ended as readonly Ended[],
    /** Publishes them and waits until so many more have ended. @returns these ends, and when it began */
    async through(jobs: readonly (JobMessage | string)[]) {
      const [begin, before] = [performance.now(), ended.length];
      await publish(jobs);
      await untilEnded(before + jobs.length);
      return { begin, ended: ended.slice(before) };
    },
    /** Ends per second in that time, in milliseconds of `performance.now()`, of those that `counts`. */
    rate(from: number, to: number, counts: (completion: Completion) => boolean = () => true): number {
      const count = ended.filter(({ at, completion }) => at >= from && at < to && counts(completion)).length;
      return count / ((to - from) / 1000);
    },
    quietMs: () => performance.now() - lastAt,
    close: () => Promise.all([completions.close(), deadLetters.close()]),
  };
}
