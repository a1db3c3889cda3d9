import { channel } from 'node:diagnostics_channel';

/**
 * A step of a job that has just ended: the name of a step of the pipeline, `record` when the outcome is decided, or `publish`
 * when the completion was accepted.
 */
export interface StepDone {
  readonly jobId: string;
  readonly attempt: number;
  readonly step: string;
}

/**
 * Receives every step synchronously and in order. It is a diagnostics channel of Node, so that an observer is a separate
 * module that this code does not know: a trace, or the chaos run, which kills the worker after a certain step.
 */
export const stepDone = channel('imagen:step');
