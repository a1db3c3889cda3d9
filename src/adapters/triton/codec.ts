/** Converts between our tensors and Triton's messages. Pure, and without a copy of any tensor. */
import type { VersionContract } from '../../domain/contract.js';
import { JobError } from '../../domain/errors.js';
import type { ParameterValue, Priority } from '../../domain/job.js';
import type { InferenceRequest, InferenceResult } from '../../domain/ports.js';
import { createTensor } from '../../domain/tensor.js';
import type { InferParameter, ModelInferRequest, ModelInferResponse } from './wire.js';

/** Triton's priority levels. Level 1 is served first. A model without levels ignores them. */
const PRIORITY_LEVEL: Readonly<Record<Priority, number>> = { interactive: 1, batch: 2 };

/** Request parameters that Triton uses itself. It rejects others with its prefix. */
const RESERVED = /^(?:priority|timeout|headers|binary_data_output|sequence_(?:id|start|end)|triton_.*)$/;

/**
 * @param batched whether the model has a batch dimension (its `max_batch_size` is above 0); requests then carry one element,
 *   or several copies of it: shape `[copies, …]`
 * @throws JobError `MODEL_REJECTED_INPUT` for a parameter whose name Triton reserves
 */
export function encodeRequest(request: InferenceRequest, batched: boolean): ModelInferRequest {
  const parameters: Record<string, InferParameter> = {};
  for (const [name, value] of Object.entries(request.parameters)) {
    if (RESERVED.test(name)) {
      throw new JobError('MODEL_REJECTED_INPUT', `model ${request.model}: Triton reserves the parameter ${name}`);
    }
    parameters[name] = encodeParameter(value);
  }
  parameters.priority = { int64Param: PRIORITY_LEVEL[request.priority] };
  const copies = batched ? (request.copies ?? 1) : 1;
  return {
    modelName: request.model,
    modelVersion: request.version,
    parameters,
    inputs: request.inputs.map(({ name, datatype, shape }) => ({
      name,
      datatype,
      shape: batched ? [copies, ...shape] : shape,
    })),
    outputs: [{ name: request.output }],
    rawInputContents: request.inputs.map(({ data }) => (copies === 1 ? data : repeat(data, copies))),
  };
}

function repeat(data: Buffer, copies: number): Buffer {
  return Buffer.concat(Array.from({ length: copies }, () => data));
}

/** JSON does not distinguish 1 from 1.0, so a whole number is sent as an integer. Models convert it as needed. */
function encodeParameter(value: ParameterValue): InferParameter {
  if (typeof value === 'boolean') return { boolParam: value };
  if (typeof value === 'string') return { stringParam: value };
  return Number.isSafeInteger(value) ? { int64Param: value } : { doubleParam: value };
}

/**
 * The output shape that the contract promises for this request. The output is UINT8, so the product of its sides is its
 * length in bytes.
 */
export function promisedShape(
  { inputs, output }: InferenceRequest,
  { scale }: Pick<VersionContract, 'scale'>,
): readonly number[] {
  const [height = 0, width = 0] = inputs.find(({ name }) => name === 'image')?.shape ?? [];
  return output === 'mask' ? [height, width, 1] : [height * scale, width * scale, 3];
}

/**
 * @param promised the output's shape, without the batch dimension
 * @returns the output; its data is a view of the answer's bytes
 * @throws JobError `MODEL_OUTPUT_INVALID` if it is missing, or its type, shape or length differs from the promise
 */
export function decodeResponse(
  response: ModelInferResponse,
  { model, output, copies = 1 }: Pick<InferenceRequest, 'model' | 'output' | 'copies'>,
  promised: readonly number[],
  batched: boolean,
): InferenceResult {
  const fail = (given: string, cause?: unknown) =>
    new JobError('MODEL_OUTPUT_INVALID', `model ${model}: output ${output}: ${given}`, { cause });

  const index = response.outputs.findIndex(({ name }) => name === output);
  const described = response.outputs[index];
  const data = response.rawOutputContents[index];
  if (!described || !data) {
    throw fail(`expected raw bytes, given ${response.outputs.map(({ name }) => name).join(', ') || 'nothing'}`);
  }
  if (described.datatype !== 'UINT8') throw fail(`expected UINT8, given ${described.datatype}`);
  const elements = batched ? copies : 1;
  const shape = (batched ? [elements, ...promised] : promised).join(', ');
  const given = described.shape.join(', ');
  if (given !== shape) throw fail(`expected [${shape}], given [${given}]`);
  try {
    // All copies have the same answer. A length that is no multiple of the copies is kept, for the error.
    const own = elements > 1 && data.length % elements === 0 ? data.subarray(0, data.length / elements) : data;
    return { version: response.modelVersion, output: createTensor(output, 'UINT8', promised, own) };
  } catch (error) {
    throw fail((error as Error).message, error);
  }
}
