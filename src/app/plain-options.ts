import type { WorkerConfig } from '../config/index.js';
import type { PipelineOptions } from '../pipeline/job-state.js';
import { recall } from '../records/recall.js';

/** What the configuration alone says. */
export function plainOptions(
  config: WorkerConfig,
): Pick<PipelineOptions, 'maxInputPixels' | 'maxOutputPixels' | 'fetch' | 'target' | 'endOf'> {
  return {
    maxInputPixels: config.maxInputPixels,
    maxOutputPixels: config.maxOutputPixels,
    fetch: { allowedInputs: config.allowedInputs, maxBytes: config.maxInputBytes },
    target: { outputPrefix: config.outputPrefix, allowedOutputs: config.allowedOutputs },
    endOf: async (jobId, from, signal) => (await recall(from, config.statePrefix, jobId, signal))?.completion.status,
  };
}
