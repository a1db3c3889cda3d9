/**
 * The local parts alone:
 *
 *   npm run stack -- up [part…]     install and start them; they keep running
 *   npm run stack -- down [--all]   stop them; with --all, those of every test and demo of this checkout as well
 *   npm run stack -- env            the variables that a worker needs: eval "$(npm run -s stack -- env)"
 */
import { parts } from './parts/index.js';
import { createProgress } from './progress.js';
import { downStack } from './stack/down.js';
import { exportLines, stackEnv } from './stack/env.js';
import { leftovers } from './stack/leftovers.js';
import { defaultStackDir } from './stack/paths.js';
import { defaultPorts } from './stack/ports.js';
import { readState } from './stack/state.js';
import { upStack } from './stack/up.js';

const ids = parts.map(({ id }) => id);
const usage = `usage: npm run stack -- up [${ids.join('|')}…] | down [--all] | env`;

async function up(names: string[]): Promise<void> {
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
    const all = chosen.length === 0;
    await upStack({ outlive: true, progress, signal: giveUp.signal, ...(all ? {} : { parts: chosen }) });
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

const [command, ...args] = process.argv.slice(2);
try {
  if (command === 'up') await up(args);
  else if (command === 'down' && args.every((arg) => arg === '--all')) await down(args.length > 0);
  else if (command === 'env' && args.length === 0) env();
  else throw new Error(usage);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode ??= 1;
}
