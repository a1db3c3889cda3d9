/** The real parts of a benchmark or fault run, in a folder of their own, with Google's clients for an outside view. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { objectRef } from '../../src/domain/uri.js';
import type { PartId } from '../dev/parts/part.js';
import { endModelProcesses } from '../dev/parts/triton.js';
import type { Progress } from '../dev/progress.js';
import { run } from '../dev/run.js';
import { localDir } from '../dev/stack/paths.js';
import { isAlive } from '../dev/stack/processes.js';
import { readState } from '../dev/stack/state.js';
import { type Stack, upStack, type UpOptions } from '../dev/stack/up.js';
import { until } from '../dev/until.js';
import { cli } from '../dev/workers.js';
import { createPubSub, createStorage } from './google-clients.js';
import { executions, makeModels, type StandIn } from './make-models.js';

export type Parts = Awaited<ReturnType<typeof openParts>>;

export interface PartsOptions {
  /** Of the folder, together with the id of this process; and of the subscription that keeps the completions. */
  readonly name: string;
  readonly models: readonly StandIn[];
  readonly progress: Progress;
  readonly env?: Readonly<Record<string, string>>;
  /** Beside Pub/Sub, storage and Triton. */
  readonly more?: readonly PartId[];
  /** Google's emulator by default. */
  readonly pubsub?: 'google' | 'embedded';
  /** Writes further models into the folder of the stand-ins. */
  readonly makeMore?: (repository: string) => Promise<void>;
}

/** Starts the parts and lets `imagen setup` make topics, subscriptions and buckets. */
export async function openParts({
  name,
  models,
  progress,
  env: moreEnv,
  more = [],
  makeMore,
  pubsub: which = 'google',
}: PartsOptions) {
  const dir = join(localDir, `${name}-${process.pid}`);
  const repository = join(dir, 'stand-ins');
  await makeModels(repository, models);
  await makeMore?.(repository);
  const options: UpOptions = {
    ...{
      dir,
      ports: 'free',
      parts: ['pubsub', 'gcs', 'triton', ...more],
      pubsub: which,
      models: ['style_aged'],
      progress,
    },
    modelRepositories: [{ folder: repository }],
  };
  const stack = await upStack(options);
  const env = { ...process.env, ...stack.env, ...stack.marker, LOG_LEVEL: 'info', IMAGEN_ROUTES_FILE: '', ...moreEnv };
  const projectId = env.GOOGLE_CLOUD_PROJECT;
  const storage = createStorage({ projectId, emulator: env.STORAGE_EMULATOR_HOST });
  const pubsub = createPubSub({ projectId, emulator: env.PUBSUB_EMULATOR_HOST });
  const close = async () => {
    await pubsub.close();
    await stack.down();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await run(process.execPath, [cli, 'setup', '--completions-subscription', name], { env });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ...{ dir, stack, env, repository, storage, pubsub, completionsSubscription: name, close },
    /** When the stand-ins computed that share one GPU. */
    executions: () => executions(repository),
    /** Stores an input. @returns its address */
    async upload(object: string, bytes: Buffer): Promise<string> {
      const uri = `${env.IMAGEN_UPLOAD_PREFIX}${object}`;
      const { bucket, name: path } = objectRef(uri);
      const create = { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } };
      await storage.bucket(bucket).file(path).save(bytes, create);
      return uri;
    },
    /** Ends Triton by that signal, and starts it again so long after it has ended. */
    async restartTriton(signal: NodeJS.Signals, afterMs = 0): Promise<Stack> {
      const running = readState(dir)?.parts.triton;
      if (!running) throw new Error('Triton is not running');
      process.kill(running.pid, signal);
      await until(() => !isAlive(running));
      await sleep(afterMs);
      await endModelProcesses(dir);
      return upStack({ ...options, ports: stack.ports, parts: ['triton'] });
    },
  };
}
