/** Every check of `imagen doctor`. A check stands after those that it needs. */
import type { Check } from './check.js';
import { clock } from './clock.js';
import * as configuration from './configuration.js';
import * as credentials from './credentials.js';
import * as machine from './machine.js';
import { memory } from './memory.js';
import * as pubsub from './pubsub.js';
import { rights as pubsubRights } from './pubsub-rights.js';
import * as routes from './routes.js';
import { sharedMemory } from './shared-memory.js';
import * as storage from './storage.js';
import { rights as storageRights } from './storage-rights.js';
import * as subscriptions from './subscriptions.js';
import * as triton from './triton.js';

export const CHECKS: readonly Check[] = [
  configuration.variables,
  configuration.unknown,
  configuration.permitted,
  credentials.pubsub,
  credentials.storage,
  pubsub.reachable,
  pubsub.topics,
  subscriptions.policies,
  subscriptions.overlap,
  subscriptions.gap,
  pubsub.reader,
  pubsub.deadLetters,
  pubsubRights,
  storage.reachable,
  storage.buckets,
  storageRights,
  clock,
  triton.live,
  triton.version,
  triton.restricted,
  triton.models,
  sharedMemory,
  routes.file,
  routes.served,
  machine.versions,
  machine.jpegs,
  machine.threads,
  memory,
];
