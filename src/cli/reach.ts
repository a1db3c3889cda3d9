/** Looks, before the work begins, whether the services answer, and says what is missing and which command makes it. */
import { type Config, readConfig } from '../config/index.js';
import { JobError } from '../domain/errors.js';
import type { ModelServer } from '../domain/ports.js';
import { folderOf } from '../records/list.js';
import { CommandFailed } from './usage.js';

/** Time limit for one look, in milliseconds. */
const LIMIT_MS = 5_000;

/** gRPC's status codes. */
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/**
 * @param name the setting that names the prefix
 * @param mayBeMissing if true, a missing bucket is no error, as long as storage answers
 * @throws CommandFailed
 */
export async function reachStorage(
  config: Pick<Config, 'storageEmulator'>,
  name: string,
  prefix: string,
  mayBeMissing = false,
): Promise<void> {
  const { createObjectStore } = await import('../adapters/gcs/store.js');
  const folder = folderOf(prefix);
  const ref = { ...folder, name: `${folder.name}.reach` };
  const signal = AbortSignal.timeout(LIMIT_MS);
  try {
    await createObjectStore({ emulator: config.storageEmulator }).checkAccess(ref, 'read', signal);
  } catch (thrown) {
    const reason = signal.aborted ? `no answer within ${LIMIT_MS / 1_000} s` : (thrown as Error).message;
    if (reason.includes('lacks the right')) return; // it answers, and the work may need other rights than this look
    if (reason.includes('there is no bucket')) {
      if (mayBeMissing) return;
      throw new CommandFailed(
        `there is no bucket ${folder.bucket}: create it with \`imagen setup\`, or mend ${name} (${prefix})`,
      );
    }
    if (!signal.aborted && !(thrown instanceof JobError)) throw thrown;
    throw new CommandFailed(storageAway(config, reason));
  }
}

function storageAway({ storageEmulator }: Pick<Config, 'storageEmulator'>, reason: string): string {
  const where = storageEmulator === undefined ? 'Cloud Storage' : `Cloud Storage's emulator at ${storageEmulator}`;
  const what = storageEmulator === undefined ? '' : ': start it, or mend STORAGE_EMULATOR_HOST';
  return `${where} cannot be used${what} (${reason})`;
}

/** Reads what Triton serves. @throws CommandFailed if it does not answer */
export async function reachTriton(server: ModelServer, url: string): Promise<void> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  try {
    await server.refresh(signal);
  } catch (thrown) {
    const reason = signal.aborted ? `no answer within ${LIMIT_MS / 1_000} s` : (thrown as Error).message;
    throw new CommandFailed(`Triton at ${url} does not answer: start it, or mend TRITON_URL (${reason})`);
  }
}

/** For commands that upload and publish. @throws CommandFailed */
export async function reachToPublish(env: NodeJS.ProcessEnv): Promise<void> {
  const config = readConfig(env, ['projectId', 'pubsubEmulator', 'storageEmulator', 'uploadPrefix']);
  await Promise.all([reachPubSub(config), reachStorage(config, 'IMAGEN_UPLOAD_PREFIX', config.uploadPrefix)]);
}

/** Whether Pub/Sub answers, whatever it says. @throws CommandFailed */
export async function reachPubSub(config: Pick<Config, 'projectId' | 'pubsubEmulator'>): Promise<void> {
  const { PubSubChannel, PUBLISHING } = await import('../adapters/pubsub/channel.js');
  const { projectId, pubsubEmulator: emulator } = config;
  const channel = new PubSubChannel({ projectId, emulator, pings: PUBLISHING });
  try {
    const request = { subscription: channel.subscription('imagen-reach') };
    await channel.call('GetSubscription', request, LIMIT_MS);
  } catch (thrown) {
    const { code } = thrown as { code?: unknown };
    if (code === UNAVAILABLE || code === DEADLINE_EXCEEDED) throw pubSubFailed(thrown, config, 'Pub/Sub');
  } finally {
    channel.close();
  }
}

/**
 * A failure of Pub/Sub as a sentence.
 * @param what the topic or the subscription, such as `topic imagen-jobs`
 */
export function pubSubFailed(
  thrown: unknown,
  { projectId, pubsubEmulator }: Pick<Config, 'projectId' | 'pubsubEmulator'>,
  what: string,
): CommandFailed {
  const { code, details, message = String(thrown) } = thrown as { code?: unknown; details?: string; message?: string };
  const reason = details === undefined || details === '' ? message : details;
  if (code === NOT_FOUND) {
    return new CommandFailed(`there is no ${what} in project ${projectId}: create it with \`imagen setup\``);
  }
  if (code === PERMISSION_DENIED || code === UNAUTHENTICATED) {
    return new CommandFailed(`these credentials may not use ${what} of project ${projectId}: ${reason}`);
  }
  const where = pubsubEmulator === undefined ? 'Pub/Sub' : `Pub/Sub's emulator at ${pubsubEmulator}`;
  const mend = pubsubEmulator === undefined ? '' : ': start it, or mend PUBSUB_EMULATOR_HOST';
  return new CommandFailed(`${where} cannot be used${mend} (${reason})`);
}
