/**
 * The local parts alone:
 *
 *   npm run stack -- up [part…] [--test-models]
 *       installs and starts them; they keep running. With --test-models, Triton serves those of the tests as well
 *   npm run stack -- down [--all]
 *       stops them; with --all, those of every test and demo of this checkout as well
 *   npm run stack -- env
 *       prints the variables that a worker needs: eval "$(npm run -s stack -- env)"
 */
import { Argument, program } from 'commander';
import { parts } from './parts/index.js';
import type { PartId } from './parts/part.js';
import { createProgress } from './progress.js';
import { downStack } from './stack/down.js';
import { exportLines, stackEnv } from './stack/env.js';
import { leftovers } from './stack/leftovers.js';
import { defaultStackDir, testModels } from './stack/paths.js';
import { defaultPorts } from './stack/ports.js';
import { readState } from './stack/state.js';
import { upStack } from './stack/up.js';

const ids = parts.map(({ id }) => id);
async function up(chosen: readonly PartId[], { testModels: withTestModels }: { testModels?: true }): Promise<void> {
  const giveUp = new AbortController();
  const progress = createProgress();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (giveUp.signal.aborted) process.exit(1); // asked twice: the watchdog ends what we started
      progress.say(`${signal}: stopping what was started`);
      process.exitCode = 130;
      giveUp.abort(new Error('given up'));
    });
  }
  try {
    await upStack({
      ...{
        outlive: true,
        progress,
        signal: giveUp.signal,
        parts: ids.filter((id) => chosen.length === 0 || chosen.includes(id)),
      },
      modelRepositories: withTestModels ? [testModels] : [],
    });
  } finally {
    progress.close();
  }
}

async function down({ all }: { all?: true }): Promise<void> {
  const dirs = new Set([defaultStackDir, ...(all ? leftovers().map(({ dir }) => dir) : [])]);
  for (const dir of dirs) {
    const stopped = await downStack({ dir });
    for (const { pid, command } of stopped) console.error(`stopped ${pid}: ${command.slice(0, 100)}`);
    if (stopped.length === 0) console.error('nothing was up');
  }
}

function env(): void {
  const state = readState(defaultStackDir);
  if (!state) console.error('# The stack is not up: npm run stack -- up');
  process.stdout.write(exportLines(stackEnv(state?.ports ?? defaultPorts())));
}

program.name('npm run stack --');
program
  .command('up')
  .description('installs and starts the parts; they keep running')
  .addArgument(new Argument('[parts...]', 'all of them unless named').choices(ids))
  .option('--test-models', 'Triton serves the models of the tests as well')
  .action(up);
program
  .command('down')
  .description('stops them')
  .option('--all', 'those of every test and demo of this checkout as well')
  .action(down);
program.command('env').description('prints the variables that a worker needs').action(env);

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode ??= 1;
}
