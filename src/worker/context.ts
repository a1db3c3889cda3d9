/** What every step of the worker is given. */
import type { Completion } from '../domain/completion.js';
import type { Delivery, ObjectStore } from '../domain/ports.js';
import type { PipelineOptions, PipelineParts } from '../pipeline/run.js';
import { type StepDone, stepDone } from '../pipeline/steps.js';
import type { Availability } from '../scheduling/availability.js';
import type { FairShare } from '../scheduling/fair-share.js';
import type { Intake } from '../scheduling/intake.js';
import type { Decision } from './decision.js';
import type { Outlet } from './outlet.js';
import type { WaitingRoom } from '../scheduling/waiting-room.js';
import type { Slots } from '../scheduling/slots.js';

export interface HandlerParts extends PipelineParts {
  /** Calls are tried again in place while storage is away. */
  readonly store: ObjectStore;
  /** The same store, whose calls are made once. */
  readonly singleTryStore: ObjectStore;
  /** Where messages are put back whose job cannot be done now. */
  readonly jobs: Outlet;
  readonly completions: Outlet;
  readonly deadLetters: Outlet;
  readonly intake: Intake;
  readonly availability: Availability;
  readonly waitingRoom: WaitingRoom;
  readonly share: FairShare;
  readonly observer: Observer;
}

export interface HandlerOptions {
  readonly statePrefix: string;
  readonly maxAttempts: number;
  /** How long what a job needs may be away without a break, in milliseconds, before the job ends. */
  readonly maxDeferredMs: number;
  /** Between two looks whether a job in work has ended elsewhere, in milliseconds. */
  readonly watchMs: number;
  /** How this worker signs its completions. */
  readonly worker: string;
  readonly pipeline: PipelineOptions;
}

/** Told of every message's receipt and end; must not throw. */
export interface Observer {
  received(delivery: Delivery): void;
  /** A completion was published. */
  ended(end: Ending): void;
  /** A dead letter was published; what goes with it is still to come. */
  deadLettered(completion: Completion): void;
  /** A copy of the message was put back into the queue. */
  deferred(delivery: Delivery, error: Error): void;
  /** The message was given back; it will come again. */
  givenBack(delivery: Delivery, error: Error): void;
}

/** A job's end, and what its completion does not tell. */
export interface Ending extends Decision {
  readonly delivery: Delivery;
  /** From the receipt of the delivery, in milliseconds. */
  readonly tookMs: number;
  /** Of that, publishing the completion and, if there is one, the dead letter. */
  readonly publishMs: number;
}

export interface Worker {
  readonly parts: HandlerParts;
  readonly options: HandlerOptions;
  /** For messages that ask storage what is known of their job before they have a place. */
  readonly lookUps: Slots;
}

/** Tells who listens to the channel that a step is done. */
export function tellStep(jobId: string | undefined, { attempt }: Delivery, step: StepDone['step']): void {
  if (jobId !== undefined) stepDone.publish({ jobId, attempt, step } satisfies StepDone);
}
