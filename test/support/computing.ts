import type { TestProject } from 'vitest/node';
import { provideStack } from './stack.js';

/** For the tests that only compute: a Triton of their own, without the test models. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { down } = await provideStack(project, { parts: ['triton'] });
  return down;
}
