/** The worker's connections to what is outside: Pub/Sub, Cloud Storage, Triton, the routes. */
import { createObjectStore } from '../adapters/gcs/store.js';
import { PubSubChannel, PUBLISHING } from '../adapters/pubsub/channel.js';
import { openRoutesStore } from '../adapters/routes.js';
import { connectTriton, type TritonOptions } from '../adapters/triton/server.js';
import type { WorkerConfig } from '../config/index.js';
import { experimentsOf } from '../domain/experiment.js';
import type { Logger } from '../telemetry/logger.js';
import { createOutage } from '../telemetry/outage.js';
import type { Service } from './lifecycle.js';
import { LiveRoutes, type RoutesLines } from './routes.js';

export type Connections = ReturnType<typeof connect>;

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
    routes: liveRoutes(config, log),
  };
}

/** Pause between two log lines about routes that stay wrong, in milliseconds. */
const REMIND_MS = 600_000;

function liveRoutes({ routesFile, storageEmulator, shadowPrefix }: WorkerConfig, log: Logger): LiveRoutes {
  const outage = createOutage(
    {
      away: (error, awaySeconds) =>
        log.warn(
          { error, awaySeconds, routes: routesFile },
          `the routes cannot be read; ${live.missing ? 'the worker waits for them' : 'the last good ones stay'}`,
        ),
      back: (awaySeconds) => log.info({ awaySeconds, routes: routesFile }, 'the routes can be read again'),
    },
    { remindMs: REMIND_MS },
  );
  const store = routesFile === undefined ? undefined : openRoutesStore({ routesFile, storageEmulator });
  const lines: RoutesLines = {
    broken: (error, generation) =>
      log.error({ error, generation }, 'the routes file is broken; the last good one stays'),
    changed: ({ arms }, generation) =>
      log.info({ experiments: experimentsOf(arms), generation }, 'the routes file has changed'),
    read: (trouble) => outage.tell(trouble),
  };
  const live = new LiveRoutes(store, lines, ({ shadows: [shadow] }) =>
    shadow && shadowPrefix === undefined
      ? `IMAGEN_SHADOW_PREFIX: expected gs://<bucket>/<prefix>, since the routes name a shadow of ${shadow.model}, given nothing`
      : undefined,
  );
  return live;
}

export function connectionServices({ pubsub, publishing, models }: Connections): Service[] {
  return [
    { name: 'the connection to Pub/Sub', stop: () => pubsub.close() },
    { name: 'the connection to Pub/Sub for publishing', stop: () => publishing.close() },
    { name: 'Triton', start: () => models.start(), stop: () => models.close() },
  ];
}
