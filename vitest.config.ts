import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They run beside the others, and so must not begin only when these have ended. */
class PixelsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project }: TestSpecification) => (project.name === 'pixels' ? 0 : 1);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

const PATIENT = { testTimeout: 60_000, hookTimeout: 120_000 };
/** They ask the networks about hundreds of pictures: only with `npm run test:pixels`, which also runs all of golden.test.ts. */
const LONG = ['test/contract/seams.test.ts'];
const ALL_PIXELS = process.env.IMAGEN_TEST_PIXELS === 'all';
const COMPUTING = [...(ALL_PIXELS ? LONG : []), 'test/e2e/golden.test.ts', 'test/e2e/kinds.test.ts'];
/** Each file that computes has one, four others run (one-at-a-time.ts), and so many wait for their turn that each group has one. */
const LANES = COMPUTING.length + 15;
const BESIDE_EACH_OTHER = { groupOrder: 1 };

/**
 * Unit tests need nothing. The others need the real parts: `real` runs four files at a time, for many of them look at a
 * clock, and beside it, at the lowest priority and on a Triton of its own, runs what only computes.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: PixelsFirst },
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], maxWorkers: '100%', testTimeout: 20_000 } },
      {
        test: {
          name: 'real',
          include: ['test/contract/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          exclude: [...LONG, ...COMPUTING],
          globalSetup: ['test/support/stack.ts'],
          setupFiles: ['test/support/one-at-a-time.ts'],
          maxWorkers: LANES,
          sequence: BESIDE_EACH_OTHER,
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'pixels',
          include: COMPUTING,
          globalSetup: ['test/support/computing.ts'],
          setupFiles: ['test/support/lowest-priority.ts'],
          maxWorkers: LANES,
          sequence: BESIDE_EACH_OTHER,
          ...PATIENT,
        },
      },
    ],
  },
});
