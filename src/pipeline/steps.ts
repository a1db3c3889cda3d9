import { channel } from 'node:diagnostics_channel';
import type { Stage } from '../domain/errors.js';

/** What has just been done for a job. `record`: its outcome is decided; `publish`: its completion was accepted. */
export interface StepDone {
  readonly jobId: string;
  readonly attempt: number;
  readonly step: Stage | 'publish';
}

/**
 * Told of every step, at once and in order. A channel of Node's, so that who wants to watch a worker (a trace, the chaos
 * run, which kills it after a certain step) loads a module of his own beside it, and nothing here knows of him.
 */
export const stepDone = channel('imagen:step');
