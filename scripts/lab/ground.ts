/** What benchmarks and fault runs stand on: real parts in a folder of their own, with stand-ins for the models. */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PubSub } from '@google-cloud/pubsub';
import type { Storage } from '@google-cloud/storage';
import { createStorageClient } from '../../src/adapters/gcs/client.js';
import { createPubSubClient } from '../../src/adapters/pubsub/client.js';
import { objectRef } from '../../src/domain/uri.js';
import { makeModels, type StandIn } from './make-models.js';
import type { Progress } from '../dev/progress.js';
import type { StackEnv } from '../dev/stack/env.js';
import { localDir } from '../dev/stack/paths.js';
import { type Stack, upStack, type UpOptions } from '../dev/stack/up.js';
import { cli } from '../dev/workers.js';

export interface Parts {
  readonly dir: string;
  readonly stack: Stack;
  /** How the stack was brought up: to bring a part of it up again. */
  readonly options: UpOptions;
  /** For workers and commands. */
  readonly env: NodeJS.ProcessEnv & StackEnv;
  /** An outsider's clients. */
  readonly storage: Storage;
  readonly pubsub: PubSub;
  /** Keeps the completions for an outsider. */
  readonly completionsSubscription: string;
  /** Stores an input. @returns its address */
  upload(name: string, bytes: Buffer): Promise<string>;
  /** Ends everything and removes the folder. */
  close(): Promise<void>;
}

export interface PartsOptions {
  /** Of the folder, together with the id of this process; and of the subscription that keeps the completions. */
  readonly name: string;
  readonly models: readonly StandIn[];
  readonly progress: Progress;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts the parts and lets `imagen setup` make topics, subscriptions and buckets. */
export async function openParts({ name, models, progress, env: more }: PartsOptions): Promise<Parts> {
  const dir = join(localDir, `${name}-${process.pid}`);
  const repository = join(dir, 'stand-ins');
  await makeModels(repository, models);
  const options: UpOptions = {
    ...{ dir, ports: 'free', parts: ['pubsub', 'gcs', 'triton'], models: ['style_aged'], progress },
    modelRepositories: [{ folder: repository }],
  };
  const stack = await upStack(options);
  const env = { ...process.env, ...stack.env, ...stack.marker, LOG_LEVEL: 'warn', IMAGEN_ROUTES_FILE: '', ...more };
  const connection = { projectId: env.GOOGLE_CLOUD_PROJECT };
  const storage = createStorageClient({ ...connection, emulator: env.STORAGE_EMULATOR_HOST });
  const pubsub = createPubSubClient({ ...connection, emulator: env.PUBSUB_EMULATOR_HOST });
  const close = async () => {
    await pubsub.close();
    await stack.down();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await promisify(execFile)(process.execPath, [cli, 'setup', '--completions-subscription', name], { env });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    ...{ dir, stack, options, env, storage, pubsub, completionsSubscription: name, close },
    async upload(object, bytes) {
      const uri = `${env.IMAGEN_UPLOAD_PREFIX}${object}`;
      const { bucket, name: path } = objectRef(uri);
      await storage
        .bucket(bucket)
        .file(path)
        .save(bytes, { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
      return uri;
    },
  };
}
