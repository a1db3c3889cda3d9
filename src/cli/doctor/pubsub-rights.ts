import { permitted } from '../../adapters/pubsub/rights.js';
import { check, fault, ok, skipped } from './check.js';
import { reachable } from './pubsub.js';

const PUBLISH = ['pubsub.topics.publish'];
const CONSUME = ['pubsub.subscriptions.consume', 'pubsub.subscriptions.get'];

/** The rights of a worker (docs/google-cloud.md). */
export const rights = check({
  name: 'pubsub.rights',
  reads: [
    ...(['projectId', 'pubsubEmulator', 'jobsTopic', 'completionsTopic', 'deadLetterTopic'] as const),
    'jobsSubscriptions',
  ],
  needs: [reachable.name],
  async run(config, deployment) {
    const channel = deployment.pubsub(config);
    const wanted = [
      ...[config.jobsTopic, config.completionsTopic, config.deadLetterTopic].map((name) => ({
        ...{ name, resource: channel.topic(name), permissions: PUBLISH, role: 'roles/pubsub.publisher' },
      })),
      ...config.jobsSubscriptions.map(({ name }) => ({
        ...{ name, resource: channel.subscription(name), permissions: CONSUME, role: 'roles/pubsub.subscriber' },
      })),
    ];
    const answers = await Promise.all(
      wanted.map(async (one) => ({ ...one, has: await permitted(channel, one.resource, one.permissions) })),
    );
    if (answers.every(({ has }) => has === undefined)) {
      return [skipped('the service does not report rights; the emulator never does')];
    }
    return answers.map(({ name, permissions, role, has = [] }) => {
      const lacks = permissions.filter((permission) => !has.includes(permission));
      if (lacks.length === 0) return ok(`${name}: ${permissions.join(', ')}`);
      return fault(
        `these credentials lack ${lacks.join(' and ')} on ${name}, or it does not exist`,
        `grant ${role} on it to the worker's identity, as scripts/release/gcp/setup.sh does`,
      );
    });
  },
});
