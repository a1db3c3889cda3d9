import { Argument, program } from 'commander';
import { giveUpOnSignals } from './give-up.js';
import { parts } from './parts/index.js';
import type { PartId } from './parts/part.js';
import { notLoaded } from './parts/triton.js';
import { createProgress } from './progress.js';
import { downStack, leftovers } from './stack/down.js';
import { exportLines, stackEnv } from './stack/env.js';
import { foreignWorkers, warningOf } from './stack/foreign-workers.js';
import { defaultStackDir, ownModels, ownRoutes, testModels } from './stack/paths.js';
import { defaultPorts } from './stack/ports.js';
import { readState } from './stack/state.js';
import { upStack } from './stack/up.js';

/** The watchdog ends what we started. */
const exitAtOnce = (): void => process.exit(1);

const ids = parts.map(({ id }) => id);

async function up(chosen: readonly PartId[], { testModels: withTestModels }: { testModels?: true }): Promise<void> {
  const own = ownModels();
  const { ports } = await upStack({
    ...{ outlive: true, progress: createProgress(), signal: giveUpOnSignals(exitAtOnce) },
    parts: chosen.length === 0 ? ids : chosen,
    modelRepositories: [own, ...(withTestModels ? [testModels] : [])],
  });
  if (readState(defaultStackDir)?.parts.triton) {
    for (const line of await notLoaded(ports, own.folder)) console.error(`warning: ${line}`);
  }
  warnOfForeignWorkers();
}

async function down({ all }: { all?: true }): Promise<void> {
  const dirs = new Set([defaultStackDir, ...(all ? leftovers().map(({ dir }) => dir) : [])]);
  for (const dir of dirs) {
    const stopped = await downStack({ dir });
    for (const { pid, command } of stopped) console.error(`stopped ${pid}: ${command.slice(0, 100)}`);
    if (stopped.length === 0) console.error('nothing was up');
  }
  warnOfForeignWorkers();
}

function warnOfForeignWorkers(): void {
  const { PUBSUB_EMULATOR_HOST } = stackEnv(readState(defaultStackDir)?.ports ?? defaultPorts());
  for (const worker of foreignWorkers(PUBSUB_EMULATOR_HOST)) console.error(warningOf(worker));
}

function env(): void {
  const state = readState(defaultStackDir);
  if (!state) console.error('# The stack is not up: npm run stack -- up');
  process.stdout.write(exportLines({ ...stackEnv(state?.ports ?? defaultPorts()), ...ownRoutes() }));
}

program.name('npm run stack --');
program
  .command('up')
  .description('installs and starts the parts; they keep running')
  .addArgument(new Argument('[parts...]', 'the parts to start; all of them by default').choices(ids))
  .option('--test-models', 'Triton serves the models of the tests as well')
  .action(up);
program
  .command('down')
  .description('stops them')
  .option('--all', 'stops the parts of every test and demo of this checkout as well')
  .action(down);
program.command('env').description('prints the variables that a worker needs').action(env);

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode ??= 1;
}
