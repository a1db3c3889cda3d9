/** Pub/Sub: whether it answers, its topics, and who reads the completions and the dead letters. */
import { status } from '@grpc/grpc-js';
import { StepFailed } from '../../adapters/setup-step.js';
import { planPlainSubscription, planTopic } from '../../adapters/pubsub/admin.js';
import { subscriptionsOf, TEMPORARY } from '../../adapters/pubsub/admin-calls.js';
import { codeOf } from '../../adapters/pubsub/retrying.js';
import { deadLettersRetention } from '../setup/wanted.js';
import { check, fault, ok, type Result, skipped, warning } from './check.js';
import * as credentials from './credentials.js';
import { CALL_MS } from './deployment.js';
import { reasonIn } from './grpc.js';

/** Codes that say that Pub/Sub has read the request. */
const ANSWERS: ReadonlySet<unknown> = new Set([status.NOT_FOUND, status.PERMISSION_DENIED]);
/** Codes of a server that speaks gRPC, and is not Pub/Sub. */
const OTHERS: ReadonlySet<unknown> = new Set([status.UNIMPLEMENTED, status.UNKNOWN, status.INTERNAL]);

export const reachable = check({
  name: 'pubsub.reachable',
  reads: ['projectId', 'pubsubEmulator'],
  needs: [credentials.pubsub.name],
  async run(config, deployment) {
    const { pubsubEmulator: emulator, projectId } = config;
    const where = emulator === undefined ? 'Pub/Sub' : `the Pub/Sub emulator at ${emulator}`;
    const channel = deployment.pubsub(config);
    try {
      // No subscription has this name. That is an answer.
      await channel.call('GetSubscription', { subscription: channel.subscription('imagen-doctor') }, CALL_MS);
    } catch (thrown) {
      const { code, details = String(thrown) } = thrown as { readonly code?: unknown; readonly details?: string };
      if (code === status.UNAUTHENTICATED) {
        return [fault(`Pub/Sub refuses these credentials: ${details}`, `give them rights in project ${projectId}`)];
      }
      if (!ANSWERS.has(code)) {
        const what = OTHERS.has(code) ? 'gives no answer of Pub/Sub' : 'does not answer';
        return [
          fault(
            `${where} ${what}: ${reasonIn(details)}`,
            emulator === undefined
              ? 'permit this machine to reach pubsub.googleapis.com on port 443'
              : 'start the emulator, or mend PUBSUB_EMULATOR_HOST',
          ),
        ];
      }
    }
    return [ok(`${where}, project ${projectId}`)];
  },
});

export const topics = check({
  name: 'pubsub.topic',
  reads: ['projectId', 'pubsubEmulator', 'jobsTopic', 'completionsTopic', 'deadLetterTopic'],
  needs: [reachable.name],
  async run(config, deployment) {
    const channel = deployment.pubsub(config);
    const wanted = {
      IMAGEN_JOBS_TOPIC: config.jobsTopic,
      IMAGEN_COMPLETIONS_TOPIC: config.completionsTopic,
      IMAGEN_DEAD_LETTER_TOPIC: config.deadLetterTopic,
    };
    const looks = Object.entries(wanted).map(([variable, name]) =>
      unlessDenied(`topic ${name}`, async () => {
        const { todo } = await planTopic(channel, name);
        if (todo === 'nothing') return ok(name);
        return fault(
          `there is no topic ${name} in project ${config.projectId}`,
          `create it with \`imagen setup\`, or mend ${variable}`,
        );
      }),
    );
    return (await Promise.all(looks)).flat();
  },
});

export const reader = check({
  name: 'pubsub.reader',
  reads: ['projectId', 'pubsubEmulator', 'completionsTopic'],
  needs: [reachable.name],
  run(config, deployment) {
    const { completionsTopic: topic } = config;
    return unlessDenied(`the subscriptions of ${topic}`, async () => {
      const names = await subscriptionsOf(deployment.pubsub(config), topic);
      if (names === undefined) return skipped(`there is no topic ${topic}`);
      const lasting = names.filter((name) => !name.startsWith(TEMPORARY));
      if (lasting.length > 0) return ok(`${topic} is read by ${lasting.join(', ')}`);
      const cure = 'run `imagen setup --completions-subscription NAME`, and let your program read from NAME';
      if (names.length === 0) return fault(`nothing subscribes to ${topic}, so completions are lost`, cure);
      return warning(
        `${topic} is read by ${names.join(', ')} alone, made by a command that deletes it at its end: later completions are lost`,
        cure,
      );
    });
  },
});

export const deadLetters = check({
  name: 'pubsub.dead-letters',
  reads: ['projectId', 'pubsubEmulator', 'deadLetterTopic', 'deadLetterSubscription'],
  needs: [reachable.name],
  run(config, deployment) {
    const { deadLetterTopic: topic, deadLetterSubscription: name } = config;
    return unlessDenied(`subscription ${name}`, async () => {
      const plan = await planPlainSubscription(deployment.pubsub(config), topic, name, deadLettersRetention(config));
      if (plan.todo === 'create') {
        return fault(
          `there is no subscription ${name}, so dead letters may be lost`,
          'create it with `imagen setup`, or mend IMAGEN_DEAD_LETTER_SUBSCRIPTION',
        );
      }
      const [obstacle] = plan.obstacles;
      if (obstacle !== undefined) {
        return fault(obstacle, 'mend IMAGEN_DEAD_LETTER_SUBSCRIPTION or IMAGEN_DEAD_LETTER_TOPIC');
      }
      if (plan.todo === 'nothing') return ok(`${name} keeps those of ${topic}`);
      return warning(`subscription ${name}: ${plan.details.join('; ')}`, 'mend that with `imagen setup`');
    });
  },
});

/**
 * The answer to a look. A worker's identity need not have the right to look at what it uses.
 * @throws StepFailed for every other refusal
 */
export async function unlessDenied(
  what: string,
  look: () => Promise<Result | readonly Result[]>,
): Promise<readonly Result[]> {
  try {
    return [await look()].flat();
  } catch (thrown) {
    if (codeOf(thrown instanceof StepFailed ? thrown.cause : thrown) !== status.PERMISSION_DENIED) throw thrown;
    return [skipped(`these credentials may not look at ${what}; those that run \`imagen setup\` may`)];
  }
}
