import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { groupOf } from './test/support/groups.js';

/** Mixes the groups of `real` evenly, so that each has a file among those that wait for their turn. */
class GroupsMixed extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const real = sorted.filter(({ project }) => project.name === 'real');
    const sizes = new Map<string, number>();
    const placed = real.map((file) => {
      const group = groupOf(file.moduleId);
      const place = sizes.get(group) ?? 0;
      sizes.set(group, place + 1);
      return { file, group, place };
    });
    const mixed = placed.map(({ file, group, place }) => ({ file, part: (place + 0.5) / (sizes.get(group) ?? 1) }));
    mixed.sort((a, b) => a.part - b.part);
    return [...sorted.filter(({ project }) => project.name !== 'real'), ...mixed.map(({ file }) => file)];
  }
}

const PATIENT = { testTimeout: 60_000, hookTimeout: 120_000 };
/** They ask the networks about hundreds of pictures: only with `npm run test:pixels`, which also runs all of golden.test.ts. */
const LONG = ['test/contract/seams.test.ts'];
const ALL_PIXELS = process.env.IMAGEN_TEST_PIXELS === 'all';
const COMPUTING = [...(ALL_PIXELS ? LONG : []), 'test/e2e/golden.test.ts', 'test/e2e/kinds.test.ts'];
/** These files change state that a process has only once: its tracer, the settings that grpc-js reads on load, or the loaders of sharp. */
const APART = [
  'test/unit/tracing/*.test.ts',
  'test/unit/adapters/pubsub-channel.test.ts',
  'test/unit/demo/burst.test.ts',
];
const UNIT = { maxWorkers: '100%', testTimeout: 20_000 };
/** Four files run at once (one-at-a-time.ts); the others wait for their turn, so many that each group has one. */
const LANES = 15;

/**
 * Unit tests need nothing. Those of one process share its modules, for loading them anew takes as long as the tests. The others need the
 * real parts, and follow one after the other: `pixels` only computes, and `real` runs four files at a time, for many of them
 * look at a clock.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: GroupsMixed },
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], exclude: APART, isolate: false, ...UNIT } },
      { test: { name: 'unit apart', include: APART, ...UNIT } },
      {
        test: {
          name: 'pixels',
          include: COMPUTING,
          globalSetup: ['test/support/computing.ts'],
          maxWorkers: '100%',
          sequence: { groupOrder: 1 },
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/contract/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          exclude: [...LONG, ...COMPUTING],
          globalSetup: ['test/support/stack.ts'],
          setupFiles: ['test/support/one-at-a-time.ts'],
          maxWorkers: LANES,
          sequence: { groupOrder: 2 },
          ...PATIENT,
        },
      },
    ],
  },
});
