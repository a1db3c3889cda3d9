import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { context, diag, propagation, trace } from '@opentelemetry/api';
import { afterEach, expect, it, vi } from 'vitest';
import { startTracing } from '../../../src/tracing/tracing.js';

afterEach(() => {
  vi.unstubAllEnvs();
  diag.disable();
  trace.disable();
  context.disable();
  propagation.disable();
});

/** @returns all that was told, and whether a span was active then */
async function started(server: Server | undefined, env: Readonly<Record<string, string>> = {}) {
  const otlpEndpoint = `http://127.0.0.1:${server ? await listening(server) : await freePort()}`;
  for (const [name, value] of Object.entries({ OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint, ...env })) {
    vi.stubEnv(name, value);
  }
  const told: { what: string; reason: string; inSpan: boolean }[] = [];
  const tracing = await startTracing(
    { otlpEndpoint } as Parameters<typeof startTracing>[0],
    'w',
    (what, reason) => void told.push({ what, reason, inSpan: trace.getActiveSpan() !== undefined }),
  );
  return { tracing, told };
}

/** Of a tracer of its own: the one of src/tracing/spans.ts stays with the first SDK that it met. */
const span = () => trace.getTracer('job').startSpan('b').end();

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

it('does not wait for a collector that takes spans and never answers, and says so', async () => {
  const silent = createServer(() => undefined);
  const asked = new Promise((resolve) => silent.once('connection', resolve));
  const { tracing, told } = await started(silent);
  span();
  const begun = performance.now();
  await tracing.stop(200);
  expect(performance.now() - begun).toBeLessThan(1_500);
  await asked; // it was tried
  silent.close();
  const reason = 'the collector did not take them within 200 ms';
  expect(told).toEqual([{ what: 'spans are lost', reason, inSpan: false }]);
});

it('says in one line why spans are lost, outside the span that began the batch', async () => {
  const refusing = createHttpServer((_request, response) => response.writeHead(403).end('{"no":"entry"}'));
  const { tracing, told } = await started(refusing, { OTEL_BSP_SCHEDULE_DELAY: '20' });
  await trace.getTracer('job').startActiveSpan('a', async () => {
    span();
    await vi.waitFor(() => expect(told).not.toEqual([]));
  });
  await tracing.stop(200);
  refusing.close();
  expect(told).toEqual([{ what: 'spans are lost', reason: '403 Forbidden', inSpan: false }]);
});

it.each([
  [{ OTEL_EXPORTER_OTLP_TIMEOUT: '300' }, 'connect ECONNREFUSED'],
  [{}, 'the collector did not take them within 600 ms'],
])('says that nobody listens: %j', async (env, reason) => {
  const { tracing, told } = await started(undefined, env);
  span();
  await tracing.stop(600);
  expect(told).toEqual([{ what: 'spans are lost', reason: expect.stringContaining(reason) as string, inSpan: false }]);
});

it('does not call spans lost where a setting cannot be used, and says nothing without spans', async () => {
  const { tracing, told } = await started(undefined, { OTEL_SPAN_EVENT_COUNT_LIMIT: 'abc' });
  await tracing.stop(200);
  expect(told.map(({ what }) => what)).toEqual(['a problem with tracing']);
  expect(told[0]?.reason).toContain('OTEL_SPAN_EVENT_COUNT_LIMIT');
});
