/** Loaded into a worker: counts calls for telemetry, tracing being off; at SIGUSR2 moves the counts to the file COUNTS. */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';

const prometheus = createRequire(import.meta.url)('prom-client');
const none = () => ({ spans: 0, looks: 0, metrics: 0 });
let counts = none();

const noop = trace.wrapSpanContext({ traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 });
trace.setGlobalTracerProvider({
  getTracer: () => ({
    startSpan() {
      counts.spans += 1;
      return noop;
    },
  }),
});
context.setGlobalContextManager({
  active() {
    counts.looks += 1;
    return ROOT_CONTEXT;
  },
  with: (_context, work, self, ...args) => work.call(self, ...args),
  bind: (_context, target) => target,
  enable: () => undefined,
  disable: () => undefined,
});

// Instances take their `inc` and `observe` from one of two methods of the prototype.
const METHODS = ['inc', 'observe'].flatMap((name) => [`${name}WithoutExemplar`, `${name}WithExemplar`]);
METHODS.push('inc', 'dec', 'set', 'labels', 'startTimer');
for (const kind of [prometheus.Counter, prometheus.Gauge, prometheus.Histogram]) {
  for (const name of METHODS) {
    const original = kind.prototype[name];
    if (!original) continue;
    kind.prototype[name] = function counted(...args) {
      counts.metrics += 1;
      return original.apply(this, args);
    };
  }
}

process.on('SIGUSR2', () => {
  writeFileSync(process.env.COUNTS ?? '', JSON.stringify(counts));
  counts = none();
});
