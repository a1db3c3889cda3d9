import { ensureJobsSubscription, ensureTopic } from '../../src/adapters/pubsub/admin.js';
import type { Scene } from './scene.js';

export interface Lane {
  /** For IMAGEN_JOBS_SUBSCRIPTIONS. */
  readonly subscription: string;
  publish(job: object): Promise<string>;
}

/** A way to one worker alone: a jobs topic and subscription of its own, with the policies that `imagen setup` gives. */
export async function openLane({ pubsub, channel, env, id }: Scene, name: string): Promise<Lane> {
  const [topic, subscription] = [`jobs-${name}-${id}`, `jobs-${name}-worker-${id}`];
  await ensureTopic(channel, topic);
  await ensureJobsSubscription(channel, subscription, {
    ...{ topic, deadLetterTopic: env.IMAGEN_DEAD_LETTER_TOPIC, maxDeliveryAttempts: 10 },
  });
  return {
    subscription,
    publish: (job) => pubsub.topic(topic).publishMessage({ data: Buffer.from(JSON.stringify(job)) }),
  };
}

/** Every generation of every result of a job. */
export async function generationsOf({ results }: Scene, jobId: string): Promise<string[]> {
  const [files] = await results.getFiles({ prefix: `${jobId}/`, versions: true });
  return files.map(({ metadata }) => String(metadata.generation));
}

/** The completion that a job's record holds. */
export async function recorded({ state }: Scene, jobId: string): Promise<unknown> {
  const [bytes] = await state.file(`records/${jobId}.json`).download();
  return (JSON.parse(bytes.toString()) as { completion: unknown }).completion;
}
