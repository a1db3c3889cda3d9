import { Command } from 'commander';
import { createApp } from '../app/app.js';
import { ConfigError, readConfig, unknownVariables, WORKER_SETTINGS } from '../config/index.js';
import { createLogger } from '../telemetry/logger.js';
import { cloudTraceFields } from '../tracing/trace-fields.js';
import { type Invocation, withHelp } from './usage.js';

/** What to do when it does not start. */
const DOCTOR = '"imagen doctor" looks at everything that it depends on';

export function workerCommand(invocation: Invocation): Command {
  const command = new Command('worker').action(async () => {
    try {
      invocation.exitCode = await work(invocation.env);
    } catch (thrown) {
      throw thrown instanceof ConfigError ? new ConfigError([...thrown.problems, DOCTOR]) : thrown;
    }
  });
  return withHelp(command, ['worker', 'worker | tee worker.log'], {
    1: 'it could not go on; the last line of its log says why',
  });
}

async function work(env: NodeJS.ProcessEnv): Promise<number> {
  const config = readConfig(env, WORKER_SETTINGS);
  const log = createLogger(
    config.logLevel,
    { worker: config.workerName },
    { traceFields: cloudTraceFields(config.projectId) },
  );
  const strangers = unknownVariables(env);
  if (strangers.length > 0) log.warn({ variables: strangers }, 'variables that look like settings but are none');

  const app = createApp(config, log);
  const signalled = new Promise<'signalled'>((resolve) => {
    const onSignal = (signal: NodeJS.Signals) => {
      log.info({ signal }, 'signal received; a second one ends the process at once');
      for (const name of ['SIGTERM', 'SIGINT'] as const) {
        process.off(name, onSignal);
        process.once(name, () => process.exit(1));
      }
      resolve('signalled');
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
  // An error in a stray callback must not leave a worker that looks alive but does nothing.
  const stray = new Promise<Error>((resolve) => {
    process.on('unhandledRejection', (error) => resolve(error instanceof Error ? error : new Error(String(error))));
    process.on('uncaughtException', resolve);
  });

  const started = app.start().then(
    () => new Promise<never>(() => undefined), // started: from now on only the other promises can end the worker
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  const ending = await Promise.race([signalled, app.failed, stray, started]);
  if (ending !== 'signalled') log.fatal({ error: ending }, `the worker cannot go on; ${DOCTOR}`);
  await app.stop();
  if (ending instanceof ConfigError) throw ending;
  return ending === 'signalled' ? 0 : 1;
}
