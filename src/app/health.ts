/** Whether the worker can work, and why not. */
import type { WorkerConfig } from '../config/index.js';
import { recordNeeds } from '../scheduling/needs.js';
import { type Pause, PAUSES } from '../telemetry/metrics/intake.js';
import type { Connections } from './connections.js';
import type { Lifecycle } from './lifecycle.js';
import type { Outlets } from './outlets.js';
import type { Schedulers } from './schedulers.js';

/** The reasons why no further job can start now. */
export function pausesOf(
  { maxJobs }: WorkerConfig,
  { models }: Connections,
  { intake, budget }: Schedulers,
  { state }: Lifecycle,
): readonly Pause[] {
  const reasons: Readonly<Record<Pause, boolean>> = {
    starting: state === 'new' || state === 'starting',
    stopping: state === 'stopping' || state === 'stopped',
    models: state === 'running' && models.contracts().size === 0,
    places: intake.active >= maxJobs && intake.waiting > 0,
    memory: budget.waiting() > 0,
    alone: intake.alone,
    completions: intake.paused,
  };
  return PAUSES.filter((reason) => reasons[reason]);
}

/** Why the worker cannot work at all; undefined if it can. */
export function unreadyBecause(
  config: WorkerConfig,
  { models, routes }: Connections,
  { intake, availability }: Schedulers,
  { completions }: Outlets,
  { state }: Lifecycle,
): string | undefined {
  if (state === 'stopping' || state === 'stopped') return 'stopping';
  if (state !== 'running') return routes.missing ? 'waiting for the routes in Cloud Storage' : 'waiting for Triton';
  if (models.contracts().size === 0) return 'no model is ready';
  const records = availability.broken(recordNeeds(config));
  if (records) return `records cannot be kept: ${records.reason}`;
  if (intake.paused) return `completions are refused: ${completions.blocked?.message ?? ''}`;
  return undefined;
}
