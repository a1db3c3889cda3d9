import { setTimeout as sleep } from 'node:timers/promises';
import { expect, inject, it } from 'vitest';
import { createApp } from '../../src/app/app.js';
import { readConfig, WORKER_SETTINGS } from '../../src/config/index.js';
import { createLogger } from '../../src/telemetry/logger.js';
import { until } from '../support/scene.js';

/** A worker whose Triton does not answer, so that its start does not end by itself. */
function waiting() {
  const { env } = inject('stack');
  const config = readConfig(
    { ...env, TRITON_URL: '127.0.0.1:9', PORT: '0', IMAGEN_DRAIN_SECONDS: '2', IMAGEN_ROUTES_FILE: '' },
    WORKER_SETTINGS,
  );
  return createApp(config, createLogger('silent', {}));
}

const answers = (port: number) =>
  fetch(`http://127.0.0.1:${port}/livez`).then(
    () => true,
    () => false,
  );

it('leaves no status server behind when it is stopped while it waits for Triton', async () => {
  const app = waiting();
  const started = app.start();
  await until(() => app.port !== undefined, 5_000);
  const port = app.port ?? 0;
  expect(await answers(port)).toBe(true);
  await app.stop();
  await started;
  expect(await answers(port)).toBe(false);
});

it.each([0, 1, 5, 20])('leaves none behind when it is stopped %i ms after its start began', async (ms) => {
  const app = waiting();
  const started = app.start();
  if (ms > 0) await sleep(ms);
  await Promise.all([app.stop(), app.stop()]);
  await started;
  expect(app.port === undefined || !(await answers(app.port))).toBe(true);
});

it('starts nothing when it was stopped before', async () => {
  const app = waiting();
  await app.stop();
  await app.start();
  expect(app.port === undefined || !(await answers(app.port))).toBe(true);
});
