import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { createProgress } from '../../scripts/progress.js';
import type { StackEnv } from '../../scripts/stack/env.js';
import { defaultStackDir, localDir, testModels } from '../../scripts/stack/paths.js';
import { freePort, type Ports } from '../../scripts/stack/ports.js';
import { readState } from '../../scripts/stack/state.js';
import { upStack, type Stack } from '../../scripts/stack/up.js';

/** What tests get with `inject('stack')`. */
export interface TestStack {
  readonly dir: string;
  readonly ports: Ports;
  /** For a worker's environment; topics, subscriptions and buckets are each test's to make. */
  readonly env: StackEnv;
  /** Where Triton sends its spans of what comes with a trace; undefined where the stack was up before the tests. */
  readonly otlpPort: number | undefined;
  /** For the environment of a process that a test starts: it ends with the stack at the latest. */
  readonly marker: Readonly<Record<string, string>>;
}

declare module 'vitest' {
  interface ProvidedContext {
    stack: TestStack;
  }
}

/** The stack's logs of the last run, for when a test has failed. */
const keptLogs = join(localDir, 'test-logs');

/**
 * One stack for a whole run, on free ports in a folder of its own; it dies with the run, however that ends.
 * IMAGEN_TEST_STACK=reuse takes the stack of `npm run stack -- up --test-models` where that is up, and leaves it up.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const reuse = process.env.IMAGEN_TEST_STACK === 'reuse' && readState(defaultStackDir) !== undefined;
  const dir = reuse ? defaultStackDir : join(localDir, `test-${process.pid}`);
  const progress = createProgress();
  const otlpPort = reuse ? undefined : await freePort();
  let stack: Stack;
  try {
    stack = await upStack({
      ...{ dir, progress, ports: reuse ? 'default' : 'free', outlive: reuse },
      modelRepositories: [testModels],
      tritonArgs: otlpPort === undefined ? [] : tracesTo(otlpPort),
    });
  } finally {
    progress.close();
  }
  const { ports, env, marker } = stack;
  const echo = await fetch(`http://127.0.0.1:${ports.tritonHttp}/v2/models/echo/ready`);
  if (!echo.ok) process.stderr.write('Triton lacks the test models: npm run stack -- down, then up --test-models\n');
  project.provide('stack', { dir, ports, env, marker, otlpPort });
  return async () => {
    if (reuse) return;
    await stack.down();
    await rm(keptLogs, { recursive: true, force: true });
    await rename(join(dir, 'logs'), keptLogs);
    await rm(dir, { recursive: true, force: true });
  };
}

/** Spans of what comes with a trace, and of hardly anything else: a traceparent overrules the rate. */
function tracesTo(port: number): string[] {
  const settings = ['mode=opentelemetry', 'level=TIMESTAMPS', 'rate=1000000000'];
  const exporter = [`url=http://127.0.0.1:${port}/v1/traces`, 'bsp_schedule_delay=200', 'resource=service.name=triton'];
  return [...settings, ...exporter.map((one) => `opentelemetry,${one}`)].map((one) => `--trace-config=${one}`);
}
