/** What `imagen capacity --json` prints. Times are in milliseconds unless a name says otherwise. */
import type { Device } from '../../adapters/triton/about.js';
import type { Carrier } from '../../adapters/triton/transport.js';
import type { PlanName } from '../../domain/completion.js';
import type { ErrorCode } from '../../domain/errors.js';
import type { Size } from '../../domain/raster.js';
import type { Executions } from './executions.js';
import type { Sizing, WorkerFigures } from './sizing.js';

export interface Report {
  /** Whether everything that was asked for was measured. */
  readonly complete: boolean;
  readonly ranOn: RanOn;
  readonly versions: readonly VersionReport[];
  /** Limits of these figures, one sentence each. */
  readonly notes: readonly string[];
}

export interface RanOn {
  readonly triton: { readonly url: string; readonly version: string; readonly onThisMachine: boolean };
  /** How tensors travelled. Empty if none did. */
  readonly transport: readonly Carrier[];
  readonly imagen: string;
  readonly node: string;
  /** Processors that this process may use. */
  readonly processors: number;
  /** Threads of Node's pool. */
  readonly poolThreads: number;
  /** Most jobs in work at once. */
  readonly maxJobs: number;
  /** What decoded and encoded ordinary JPEGs. */
  readonly jpegLibrary: 'libjpeg-turbo' | 'sharp';
}

export interface VersionReport {
  readonly model: string;
  /** Absent if the model is not served. */
  readonly version?: string;
  readonly device?: Device;
  /** Number of GPUs that `instance_group` names. */
  readonly gpus?: number;
  readonly instances?: number;
  readonly maxBatchSize?: number;
  readonly output?: 'image' | 'mask';
  /** Absent if the measured batches do not tell the launch and the pixels apart. */
  readonly cost?: { readonly launchMs: number; readonly perMegapixelMs: number; readonly worstError: number };
  readonly sizes: readonly SizeReport[];
  /** Why the version was not measured at all. */
  readonly error?: Failure;
}

export type SizeReport = Size & (SizeMeasured | { readonly error: Failure });

export interface SizeMeasured {
  readonly plan: PlanName;
  /** Requests of one job. */
  readonly requests: number;
  /** Size of each request's tensor, in pixels. */
  readonly window: Size;
  readonly executions: Executions;
  /** Absent if no job has ended in the time. */
  readonly worker?: WorkerFigures;
  readonly sizing?: Sizing;
}

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

export const isMeasured = (size: SizeReport): size is Size & SizeMeasured => !('error' in size);

export function isComplete(versions: readonly VersionReport[]): boolean {
  return versions.every(
    ({ error, sizes }) => error === undefined && sizes.every((size) => isMeasured(size) && size.worker !== undefined),
  );
}
