/** The worker's connections to what is outside: Pub/Sub, Cloud Storage, Triton, the routes file. */
import { createObjectStore } from '../adapters/gcs/store.js';
import { PubSubChannel, PUBLISHING } from '../adapters/pubsub/channel.js';
import { connectTriton, type TritonOptions } from '../adapters/triton/server.js';
import type { WorkerConfig } from '../config/index.js';
import { openRoutes } from '../config/routes-file.js';
import { experimentsOf } from '../domain/experiment.js';
import type { Logger } from '../telemetry/logger.js';
import { createOutage } from '../telemetry/outage.js';
import type { Service } from './lifecycle.js';

export type Connections = ReturnType<typeof connect>;

/** @throws ConfigError when the routes file is broken */
export function connect(config: WorkerConfig, log: Logger, onAttempt: TritonOptions['onAttempt']) {
  const client = { projectId: config.projectId, emulator: config.pubsubEmulator };
  const tritonOutage = createOutage({
    away: (error, awaySeconds) =>
      log.warn({ error, awaySeconds }, awaySeconds === 0 ? 'Triton is away' : 'Triton is still away'),
    back: (awaySeconds) => log.info({ awaySeconds }, 'Triton is back'),
  });
  return {
    pubsub: new PubSubChannel(client),
    publishing: new PubSubChannel({ ...client, pings: PUBLISHING }),
    store: createObjectStore({ emulator: config.storageEmulator }),
    models: connectTriton({
      url: config.tritonUrl,
      transport: config.tritonTransport,
      inferTimeoutMs: config.inferenceTimeoutSeconds * 1000,
      rememberMs: config.maxDeferredSeconds * 1000,
      onRead: (error) => tritonOutage.tell(error),
      onUnshared: (reason) => log.warn({ reason }, 'tensors go to Triton in messages, not through shared memory'),
      ...(onAttempt ? { onAttempt } : {}),
    }),
    tritonOutage,
    routes: openRoutes(config.routesFile, {
      broken: (error) => log.error({ error }, 'the routes file is broken; the last good one stays'),
      changed: ({ arms }) => log.info({ experiments: experimentsOf(arms) }, 'the routes file has changed'),
    }),
  };
}

export function connectionServices({ pubsub, publishing, models, routes }: Connections): Service[] {
  return [
    { name: 'the connection to Pub/Sub', stop: () => pubsub.close() },
    { name: 'the connection to Pub/Sub for publishing', stop: () => publishing.close() },
    { name: 'Triton', start: () => models.start(), stop: () => models.close() },
    { name: 'the routes file', start: () => routes.watch(), stop: () => routes.close() },
  ];
}
