import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GuardLimits } from '../../src/domain/experiment.js';
import { parseRoutes, type RoutesDocument } from '../../src/domain/routes.js';

/** Arms of versions 1, which is the default, 2 and 3 of `upscale`; each is stopped at half of four operations. */
export function threeArms(guard: Partial<GuardLimits> = {}) {
  const arms = ['1', '2', '3'].map((version) => ({ name: `v${version}`, version, weight: 1 }));
  const limits = { maxFailureRatio: 0.5, minOperations: 4, windowSeconds: 60, ...guard };
  const experiment = { name: 'x', arms, guard: limits };
  return parseRoutes(JSON.stringify({ models: { upscale: { default: '1', experiment } } })).arms;
}

/** A routes file for workers. */
export async function createRoutesFile() {
  const folder = await mkdtemp(join(tmpdir(), 'imagen-routes-'));
  const path = join(folder, 'routes.json');
  return {
    path,
    write: (models: RoutesDocument['models']) => writeFile(path, JSON.stringify({ models })),
    remove: () => rm(folder, { recursive: true }),
  };
}

/**
 * A routes file with an experiment on the model `failing`: the arm `worse/new` is version 2, which fails at
 * every request. It is stopped at the fourth failure.
 * @param beside entries of other models
 */
export async function createExperiment(beside: RoutesDocument['models'] = {}) {
  const { path, write, remove } = await createRoutesFile();
  return {
    ...{ path, remove },
    /** Of the two arms. */
    write(usual: number, worse: number) {
      const arms = [
        { name: 'usual', version: '1', weight: usual },
        { name: 'new', version: '2', weight: worse },
      ];
      const guard = { maxFailureRatio: 0.5, minOperations: 4, windowSeconds: 60 };
      return write({ ...beside, failing: { default: '1', experiment: { name: 'worse', arms, guard } } });
    },
  };
}

export type Experiment = Awaited<ReturnType<typeof createExperiment>>;
