/** The topics to which a worker publishes. */
import { createFeedingPublisher } from '../adapters/pubsub/feeding-publisher.js';
import { createPublisher } from '../adapters/pubsub/publisher.js';
import type { WorkerConfig } from '../config/index.js';
import type { Intake } from '../scheduling/intake.js';
import { createOutlet } from '../worker/outlet.js';
import type { Connections } from './connections.js';

export type Outlets = ReturnType<typeof createOutlets>;

/** While completions cannot be published, the intake admits no job. */
export function createOutlets(config: WorkerConfig, { publishing, pubsub }: Connections, intake: Intake) {
  const subscriptions = config.jobsSubscriptions.map(({ name }) => name);
  const jobs = createPublisher(publishing, config.jobsTopic);
  return {
    jobs: createOutlet(createFeedingPublisher(jobs, pubsub, config.jobsTopic, subscriptions)),
    completions: createOutlet(createPublisher(publishing, config.completionsTopic), (reason) =>
      intake.pause(reason !== undefined),
    ),
    deadLetters: createOutlet(createPublisher(publishing, config.deadLetterTopic)),
  };
}

/** Topics that accept nothing, with the reason. */
export function refusingTopics(config: WorkerConfig, { jobs, completions, deadLetters }: Outlets): Map<string, string> {
  const topics = [
    [config.jobsTopic, jobs],
    [config.completionsTopic, completions],
    [config.deadLetterTopic, deadLetters],
  ] as const;
  return new Map(topics.flatMap(([name, { blocked }]) => (blocked ? [[name, blocked.message]] : [])));
}
