import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A routes file for workers, with an experiment on the model `failing`: the arm `worse/new` is version 2, which fails at
 * every request. It is stopped at the fourth failure.
 */
export async function createExperiment() {
  const folder = await mkdtemp(join(tmpdir(), 'imagen-routes-'));
  const path = join(folder, 'routes.json');
  return {
    path,
    /** Of the two arms. */
    write: (usual: number, worse: number) =>
      writeFile(
        path,
        JSON.stringify({
          models: {
            failing: {
              default: '1',
              experiment: {
                name: 'worse',
                arms: [
                  { name: 'usual', version: '1', weight: usual },
                  { name: 'new', version: '2', weight: worse },
                ],
                guard: { maxFailureRatio: 0.5, minOperations: 4, windowSeconds: 60 },
              },
            },
          },
        }),
      ),
    remove: () => rm(folder, { recursive: true }),
  };
}

export type Experiment = Awaited<ReturnType<typeof createExperiment>>;
