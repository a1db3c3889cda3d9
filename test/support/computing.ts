import { readdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import type { TestProject } from 'vitest/node';
import { findMarked } from '../../scripts/dev/stack/processes.js';
import { provideStack } from './stack.js';

/** For the tests that only compute: a Triton of their own, which takes what time the others leave. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { stack, reuse, down } = await provideStack(project, { parts: ['triton'] });
  if (!reuse) yieldToAll(stack.dir);
  return down;
}

/** Linux knows a priority for each thread; those that are begun later have that of who began them. */
function yieldToAll(dir: string): void {
  for (const { pid } of findMarked((marker) => marker.dir === dir)) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), constants.priority.PRIORITY_LOW);
  }
}
