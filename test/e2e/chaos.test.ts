import { expect, it } from 'vitest';
import { CRASH_STEPS } from '../../scripts/lab/chaos/crashes.js';
import { FAULTS } from '../../scripts/lab/chaos/plan.js';
import { runProgram } from '../support/program.js';

const LIMIT_MS = 300_000;

it(
  'a fault run loses nothing, says nothing twice and leaves nothing behind',
  async () => {
    const script = new URL('../../scripts/lab/chaos.ts', import.meta.url).pathname;
    const args = ['--import', 'tsx', script, '--jobs', '60', '--json'];
    const { code, stdout, stderr } = await runProgram(process.execPath, args, process.env);
    const last = stdout.trim().split('\n').at(-1) ?? '';
    expect(JSON.parse(last || '{}'), stderr).toMatchObject({
      ...{ jobs: 60, lost: 0, conflicting: 0, unsettled: 0, unexpected: 0, badEnds: 0, pass: true },
      faults: Object.fromEntries(
        [...FAULTS, ...CRASH_STEPS.map((step) => `crash.after.${step}`)].map((kind) => [
          kind,
          expect.any(Number) as number,
        ]),
      ),
    });
    expect(code).toBe(0);
  },
  LIMIT_MS,
);
