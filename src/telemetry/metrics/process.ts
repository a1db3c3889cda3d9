/** Metrics of the process itself: its build and its memory limit. */
import { totalmem } from 'node:os';
import { collectDefaultMetrics } from 'prom-client';
import type { Families } from './families.js';

export interface Build {
  readonly version: string;
  readonly revision: string;
  readonly node: string;
  readonly sharp: string;
}

export interface ProcessFacts {
  readonly build: Build;
}

/** Memory limit of the control group (a container's), or of the machine if there is none, in bytes. */
export function memoryLimit(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

export function processMetrics(families: Families, { build }: ProcessFacts): void {
  collectDefaultMetrics({ register: families.registry });
  families.gauge(
    'imagen_memory_limit_bytes',
    "Memory limit of this process: its container's, or else the machine's",
    memoryLimit,
  );
  families.gauges(
    'imagen_build_info',
    'Always 1; the labels say what is running',
    ['version', 'revision', 'node', 'sharp'],
    () => [[build, 1]],
  );
}
