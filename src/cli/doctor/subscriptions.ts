/** The subscriptions that workers pull. */
import { planJobsSubscription } from '../../adapters/pubsub/admin.js';
import { subscriptionsOf } from '../../adapters/pubsub/admin-calls.js';
import { takenByNone, takenTwice } from '../../adapters/pubsub/inspect.js';
import { shortcomings } from '../../adapters/pubsub/shortcomings.js';
import { wantedPolicies } from '../setup/wanted.js';
import { check, fault, ok } from './check.js';
import { reachable, unlessDenied } from './pubsub.js';

export const policies = check({
  name: 'pubsub.subscription',
  reads: ['projectId', 'pubsubEmulator', 'jobsTopic', 'jobsSubscriptions', 'deadLetterTopic', 'maxAttempts'],
  needs: [reachable.name],
  async run(config, deployment) {
    const channel = deployment.pubsub(config);
    const looks = config.jobsSubscriptions.map(({ name }) =>
      unlessDenied(`subscription ${name}`, async () => {
        const plan = await planJobsSubscription(channel, name, wantedPolicies(config));
        if (plan.todo === 'create') {
          return fault(
            `there is no subscription ${name} in project ${config.projectId}, so no job arrives by it`,
            'create it with `imagen setup`, or mend IMAGEN_JOBS_SUBSCRIPTIONS',
          );
        }
        const [obstacle] = plan.obstacles;
        if (obstacle !== undefined) {
          return fault(
            obstacle,
            'mend IMAGEN_JOBS_TOPIC or IMAGEN_JOBS_SUBSCRIPTIONS; or delete the subscription and run `imagen setup`',
          );
        }
        const lacks = [...(await shortcomings(channel, name, config.maxAttempts)), ...plan.details];
        if (lacks.length === 0) return ok(name);
        return fault(`subscription ${name}: ${lacks.join('; ')}`, 'mend that with `imagen setup`');
      }),
    );
    return (await Promise.all(looks)).flat();
  },
});

export const overlap = check({
  name: 'pubsub.overlap',
  reads: ['projectId', 'pubsubEmulator', 'jobsTopic', 'jobsSubscriptions'],
  needs: [reachable.name],
  run(config, deployment) {
    const channel = deployment.pubsub(config);
    const names = config.jobsSubscriptions.map(({ name }) => name);
    return unlessDenied(`the subscriptions of ${config.jobsTopic}`, async () => {
      // `takenTwice` would count one that is missing as one without a filter.
      const there = (await subscriptionsOf(channel, config.jobsTopic)) ?? [];
      const wanted = names.filter((name) => there.includes(name)).map((name) => ({ name }));
      const twice = await takenTwice(channel, config.jobsTopic, { wanted, families: names });
      if (twice.length === 0) return ok('each job is delivered by one subscription');
      return twice.map((sentence) =>
        fault(
          `${sentence}, so jobs are worked on twice`,
          'delete the one that should not be there (docs/google-cloud.md)',
        ),
      );
    });
  },
});

export const gap = check({
  name: 'pubsub.gap',
  reads: ['projectId', 'pubsubEmulator', 'jobsTopic'],
  needs: [reachable.name],
  run(config, deployment) {
    return unlessDenied(`the subscriptions of ${config.jobsTopic}`, async () => {
      const lost = await takenByNone(deployment.pubsub(config), config.jobsTopic);
      if (lost.length === 0) return ok('each job is delivered by some subscription');
      return lost.map((sentence) =>
        fault(
          `${sentence}, so they are lost`,
          'create all subscriptions that divide the jobs, with `imagen setup --per-tenant` or `--per-model`',
        ),
      );
    });
  },
});
