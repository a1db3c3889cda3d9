import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { createProgress } from '../../scripts/dev/progress.js';
import type { StackEnv } from '../../scripts/dev/stack/env.js';
import { defaultStackDir, localDir, testModels } from '../../scripts/dev/stack/paths.js';
import { freePort, type Ports } from '../../scripts/dev/stack/ports.js';
import { readState } from '../../scripts/dev/stack/state.js';
import { type UpOptions, upStack } from '../../scripts/dev/stack/up.js';

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

/** Of the last run, for when a test has failed. */
const keptLogs = join(localDir, 'test-logs');

/** Which of the parts; the default is all. */
type Wanted = Pick<UpOptions, 'parts' | 'modelRepositories' | 'tritonArgs'>;

/**
 * The stack of one project of tests, for a whole run: on free ports in a folder of its own; it dies with the run, however
 * that ends. IMAGEN_TEST_STACK=reuse takes that of `npm run stack -- up --test-models` where it is up, and leaves it up.
 */
export async function provideStack(project: TestProject, wanted: Wanted, otlpPort?: number) {
  const reuse = mayReuse();
  const dir = reuse ? defaultStackDir : join(localDir, `test-${project.name}-${process.pid}`);
  const how = { dir, progress: createProgress(), ports: reuse ? 'default' : 'free', outlive: reuse } as const;
  // A witness that shares no fault with our own server.
  const stack = await upStack({ ...how, pubsub: 'google', ...wanted });
  const { ports, env, marker } = stack;
  project.provide('stack', { dir, ports, env, marker, otlpPort });
  const down = async () => {
    if (reuse) return;
    await stack.down();
    await rm(join(keptLogs, project.name), { recursive: true, force: true });
    await mkdir(keptLogs, { recursive: true });
    await rename(join(dir, 'logs'), join(keptLogs, project.name));
    await rm(dir, { recursive: true, force: true });
  };
  return { stack, reuse, down };
}

const mayReuse = () => process.env.IMAGEN_TEST_STACK === 'reuse' && readState(defaultStackDir) !== undefined;

/** For the tests that look at a clock: every part. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const otlpPort = mayReuse() ? undefined : await freePort();
  const tritonArgs = otlpPort === undefined ? [] : tracesTo(otlpPort);
  const { stack, down } = await provideStack(project, { modelRepositories: [testModels], tritonArgs }, otlpPort);
  const echo = await fetch(`http://127.0.0.1:${stack.ports.tritonHttp}/v2/models/echo/ready`);
  if (!echo.ok) process.stderr.write('Triton lacks the test models: npm run stack -- down, then up --test-models\n');
  return down;
}

/** Spans of what comes with a trace, and of hardly anything else: a traceparent overrules the rate. */
function tracesTo(port: number): string[] {
  const settings = ['mode=opentelemetry', 'level=TIMESTAMPS', 'rate=1000000000'];
  const exporter = [`url=http://127.0.0.1:${port}/v1/traces`, 'bsp_schedule_delay=200', 'resource=service.name=triton'];
  return [...settings, ...exporter.map((one) => `opentelemetry,${one}`)].map((one) => `--trace-config=${one}`);
}
