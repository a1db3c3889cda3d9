/** The topics to which a worker publishes. */
import { createPublisher } from '../adapters/pubsub/publisher.js';
import type { WorkerConfig } from '../config/index.js';
import type { Intake } from '../scheduling/intake.js';
import { createOutlet } from '../worker/outlet.js';
import type { Connections } from './connections.js';

export type Outlets = ReturnType<typeof createOutlets>;

/** While completions cannot be published, the intake admits no job. */
export function createOutlets(config: WorkerConfig, { publishing }: Connections, intake: Intake) {
  return {
    jobs: createOutlet(createPublisher(publishing, config.jobsTopic)),
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
