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
import { parseArgs } from 'node:util';
import { parts } from './parts/index.js';
import { createProgress } from './progress.js';
import { downStack } from './stack/down.js';
import { exportLines, stackEnv } from './stack/env.js';
import { leftovers } from './stack/leftovers.js';
import { defaultStackDir, testModels } from './stack/paths.js';
import { defaultPorts } from './stack/ports.js';
import { readState } from './stack/state.js';
import { upStack } from './stack/up.js';

const ids = parts.map(({ id }) => id);
const usage = `usage: npm run stack -- up [${ids.join('|')}…] [--test-models] | down [--all] | env`;

async function up(names: string[], withTestModels: boolean): Promise<void> {
  const chosen = ids.filter((id) => names.includes(id));
  if (chosen.length < names.length) throw new Error(usage);
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
      ...{ outlive: true, progress, signal: giveUp.signal, parts: chosen.length > 0 ? chosen : ids },
      modelRepositories: withTestModels ? [testModels] : [],
    });
  } finally {
    progress.close();
  }
}

async function down(all: boolean): Promise<void> {
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

try {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { all: { type: 'boolean', default: false }, 'test-models': { type: 'boolean', default: false } },
  });
  const [command, ...names] = positionals;
  if (command === 'up' && !values.all) await up(names, values['test-models']);
  else if (command === 'down' && names.length === 0) await down(values.all);
  else if (command === 'env' && names.length === 0) env();
  else throw new Error(usage);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode ??= 1;
}
