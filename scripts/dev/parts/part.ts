import type { PortName, Ports } from '../stack/ports.js';

export type PartId = 'pubsub' | 'gcs' | 'triton' | 'backlog' | 'prometheus';

/**
 * One local part. `install` may be called any number of times and by one process at a time (the supervisor holds the
 * cache's lock); `start` only describes the process: the supervisor starts, watches and ends it.
 */
export interface Part {
  readonly id: PartId;
  readonly title: string;
  readonly ports: readonly PortName[];
  readonly readyTimeoutMs: number;

  /** What this part needs and only root can install. All parts are asked before anything is installed or started. */
  prerequisites?(serving: Serving): Promise<Missing[]>;

  /** Why the stack may go on without this part; undefined where it is to be started. */
  skip?(): string | undefined;

  install?(context: Context): Promise<void>;
  start(context: Context): ProcessSpec | Promise<ProcessSpec>;

  /** Removes what the part's processes may have left outside the instance's folder. Called when none of them lives. */
  clean?(dir: string): Promise<void>;
}

export interface ModelRepository {
  readonly folder: string;
  /** Models in it that are not loaded at the start; they can be loaded later. */
  readonly leaveOut?: readonly string[];
}

/** A line each: what is needed and what is there instead, and what to install. */
export interface Missing {
  readonly what: string;
  readonly install: string;
}

export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  ready(): Promise<boolean>;
}

export interface Serving {
  /** By default what IMAGEN_STACK_PUBSUB names, else Google's if it can run here, else the embedded one. */
  readonly pubsub?: 'google' | 'embedded' | undefined;
  readonly models?: readonly string[] | undefined;
  readonly modelRepositories?: readonly ModelRepository[];
  /** Its own options, beside those that it always has. */
  readonly tritonArgs?: readonly string[];
  /** Variables of its entry point, before those that it always has. */
  readonly tritonEnv?: Readonly<Record<string, string>>;
}

export interface Context extends Serving {
  readonly dir: string;
  /** Shared by all instances; written to by `install` only. */
  readonly cache: string;
  readonly ports: Ports;
  step(text: string): void;
  /** Runs a program to its end, its output going to the part's log; rejects with the log's tail when it fails. */
  run(command: string, args: readonly string[]): Promise<unknown>;
}
