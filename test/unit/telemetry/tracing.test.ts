import { createServer, type AddressInfo } from 'node:net';
import { context, propagation, trace } from '@opentelemetry/api';
import { afterEach, expect, it, vi } from 'vitest';
import { inSpan } from '../../../src/spans.js';
import { startTracing } from '../../../src/telemetry/tracing.js';

afterEach(() => {
  vi.unstubAllEnvs();
  trace.disable();
  context.disable();
  propagation.disable();
});

it('does not wait for a collector that takes spans and never answers', async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const otlpEndpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', otlpEndpoint);
  const asked = new Promise((resolve) => silent.once('connection', resolve));

  const tracing = await startTracing({ otlpEndpoint } as Parameters<typeof startTracing>[0], 'w', () => undefined);
  await inSpan('a', {}, () => undefined);
  const begun = performance.now();
  await tracing.stop(200);
  expect(performance.now() - begun).toBeLessThan(1_500);
  await asked; // it was tried
  silent.close();
});
