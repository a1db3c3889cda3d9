/** Why a job may have no outcome yet, as far as its publisher can find out. */
import type { JobMessage } from '../../domain/job.js';
import { readConfig } from '../../config/index.js';
import { anyOf } from '../../domain/signals.js';

/** Time limit of each look, in milliseconds. */
const LOOK_MS = 4_000;

/** Said where the looks took too long. */
export const NOT_FOUND_OUT = 'the cause could not be found in time';

/**
 * Looks at the topic's subscriptions and, where TRITON_URL is set, at the job's models.
 * @param attributes of the job's message
 * @returns sentences; the last resort is that no worker may be running
 */
export async function whyItWaits(
  message: JobMessage,
  attributes: Readonly<Record<string, string>>,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string[]> {
  const looks = [lookAtSubscriptions(attributes, env, signal), lookAtModels(message, env, signal)];
  const reasons = (await Promise.all(looks.map((look) => look.catch(() => [])))).flat();
  if (reasons.length > 0) return reasons;
  const { jobsSubscriptions } = readConfig(env, ['jobsSubscriptions']);
  const names = jobsSubscriptions.map(({ name }) => name).join(', ');
  return [`no worker has ended it: is one running (\`imagen worker\`) that pulls ${names}?`];
}

async function lookAtSubscriptions(
  attributes: Readonly<Record<string, string>>,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string[]> {
  const config = readConfig(env, ['projectId', 'pubsubEmulator', 'jobsTopic']);
  const [{ PubSubChannel, PUBLISHING }, { filtersOf, takes }, { within }] = await Promise.all([
    import('../../adapters/pubsub/channel.js'),
    import('../../adapters/pubsub/inspect.js'),
    import('../../adapters/within.js'),
  ]);
  const connection = { projectId: config.projectId, emulator: config.pubsubEmulator };
  const pubsub = new PubSubChannel({ ...connection, pings: PUBLISHING });
  try {
    const what = `the subscriptions of ${config.jobsTopic}`;
    const there = await within(LOOK_MS, what, () => filtersOf(pubsub, config.jobsTopic), signal);
    if (there.length === 0) {
      return [`no subscription takes jobs from the topic ${config.jobsTopic}: create it with \`imagen setup\``];
    }
    if (there.some(({ filter }) => takes(filter, attributes))) return [];
    const names = there.map(({ name, filter }) => `${name} (${filter})`).join(', ');
    return [`no subscription takes jobs of model ${attributes.model ?? ''}: there are ${names}`];
  } finally {
    pubsub.close();
  }
}

async function lookAtModels({ operations }: JobMessage, env: NodeJS.ProcessEnv, signal: AbortSignal) {
  if (!env.TRITON_URL) return [];
  const { tritonUrl } = readConfig(env, ['tritonUrl']);
  const { connectTriton } = await import('../../adapters/triton/server.js');
  const server = connectTriton({ url: tritonUrl });
  const limit = anyOf([signal, AbortSignal.timeout(LOOK_MS)]);
  try {
    await server.refresh(limit.signal);
    const names = operations.flatMap((operation) => {
      if (typeof operation === 'string') return [operation];
      const { model, version } = operation;
      return version === undefined ? [model] : [model, `${model}/${version}`];
    });
    return [...new Set(names)].flatMap((name) => {
      const reason = server.unready().get(name);
      return reason === undefined ? [] : [`the model ${name} is not ready at Triton: ${reason}`];
    });
  } catch (thrown) {
    if (signal.aborted) return [];
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return [`Triton at ${tritonUrl} does not answer: ${reason}`];
  } finally {
    limit.release();
    await server.close();
  }
}
