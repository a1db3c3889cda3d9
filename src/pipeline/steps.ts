import { channel } from 'node:diagnostics_channel';
import type { Stage } from '../domain/errors.js';

/** A step of a job that has just ended. `record`: the outcome is decided. `publish`: the completion was accepted. */
export interface StepDone {
  readonly jobId: string;
  readonly attempt: number;
  readonly step: Stage | 'publish';
}

/**
 * Receives every step synchronously and in order. It is a diagnostics channel of Node, so that an observer is a separate
 * module that this code does not know: a trace, or the chaos run, which kills the worker after a certain step.
 */
export const stepDone = channel('imagen:step');
