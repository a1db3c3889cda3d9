/** Everything that can be said without the real parts, as much of it at once as there are processors: `npm run check`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { text } from 'node:stream/consumers';

/** Commands as npm finds them; what takes longest first. */
const CHECKS = [
  'eslint .',
  'tsc --noEmit',
  'prettier --check .',
  'tsx scripts/release/k8s/check.ts',
  'tsx scripts/release/monitoring/check.ts',
  'tsx scripts/release/dashboards.ts --check',
];

async function check(command: string): Promise<void> {
  const began = performance.now();
  const child = spawn(`${command} 2>&1`, { shell: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close') as Promise<[code: number | null]>;
  const [output, [code]] = await Promise.all([text(child.stdout), closed]);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${code === 0 ? 'passed' : 'FAILED'}  ${command} (${seconds} s)\n${output}`);
  if (code !== 0) process.exitCode = 1;
}

const left = CHECKS.values();
const lanes = Array.from({ length: availableParallelism() }, async () => {
  for (const command of left) await check(command);
});
await Promise.all(lanes);
