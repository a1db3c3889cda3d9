import { describe, expect, it } from 'vitest';
import { decodeResponse, encodeRequest, promisedShape } from '../../../src/adapters/triton/codec.js';
import type { InferenceRequest } from '../../../src/domain/ports.js';
import { createTensor, originTensor } from '../../../src/domain/tensor.js';

const image = createTensor('image', 'UINT8', [2, 3, 3], Buffer.alloc(18, 7));
const request: InferenceRequest = {
  model: 'upscale',
  version: '2',
  inputs: [image, originTensor(1, 2, 30, 40)],
  output: 'image',
  priority: 'interactive',
  parameters: {},
};
const response = (shape: readonly number[], bytes: number, datatype = 'UINT8', name = 'image') => ({
  modelName: 'upscale',
  modelVersion: '2',
  id: '',
  outputs: [
    { name: 'other', datatype: 'FP32', shape: [1, 1] },
    { name, datatype, shape },
  ],
  rawOutputContents: [Buffer.alloc(4), Buffer.alloc(bytes, 9)],
});

describe('encodeRequest', () => {
  it('describes the inputs in order, as one element of a batch, and passes their bytes uncopied', () => {
    const encoded = encodeRequest(request, true);
    expect(encoded.inputs).toEqual([
      { name: 'image', datatype: 'UINT8', shape: [1, 2, 3, 3] },
      { name: 'origin', datatype: 'INT32', shape: [1, 4] },
    ]);
    expect(encoded.rawInputContents[0]).toBe(image.data);
    expect(encoded).toMatchObject({ modelName: 'upscale', modelVersion: '2', outputs: [{ name: 'image' }] });
  });

  it('fills a batch with copies of the request where that is asked for', () => {
    const encoded = encodeRequest({ ...request, copies: 3 }, true);
    expect(encoded.inputs.map(({ shape }) => shape)).toEqual([
      [3, 2, 3, 3],
      [3, 4],
    ]);
    expect(encoded.rawInputContents[0]).toEqual(Buffer.alloc(54, 7));
    expect(encodeRequest({ ...request, copies: 3 }, false)).toEqual(encodeRequest(request, false));
  });

  it('adds no batch dimension where the model does no batching', () => {
    expect(encodeRequest(request, false).inputs[0]?.shape).toEqual([2, 3, 3]);
  });

  it('gives every parameter its type, and the priority its level', () => {
    const parameters = { strength: 0.8, count: 3, mode: 'soft', fine: true };
    expect(encodeRequest({ ...request, parameters }, true).parameters).toEqual({
      strength: { doubleParam: 0.8 },
      count: { int64Param: 3 },
      mode: { stringParam: 'soft' },
      fine: { boolParam: true },
      priority: { int64Param: 1 },
    });
    expect(encodeRequest({ ...request, priority: 'batch' }, true).parameters.priority).toEqual({ int64Param: 2 });
  });

  it.each(['priority', 'timeout', 'sequence_id', 'triton_enable_empty_final_response'])(
    'turns the reserved parameter %s away',
    (name) => {
      expect(() => encodeRequest({ ...request, parameters: { [name]: 1 } }, true)).toThrow(
        expect.objectContaining({ code: 'MODEL_REJECTED_INPUT', message: expect.stringContaining(name) as string }),
      );
    },
  );
});

describe('promisedShape', () => {
  it('scales an image and keeps the size of a mask', () => {
    expect(promisedShape(request, { scale: 4 })).toEqual([8, 12, 3]);
    expect(promisedShape({ ...request, output: 'mask' }, { scale: 1 })).toEqual([2, 3, 1]);
  });
});

describe('decodeResponse', () => {
  it('gives the first of several copies', () => {
    const answer = response([3, 8, 12, 3], 864);
    answer.rawOutputContents[1]?.fill(1, 0, 288);
    const { output } = decodeResponse(answer, { ...request, copies: 3 }, [8, 12, 3], true);
    expect(output.data).toEqual(Buffer.alloc(288, 1));
    expect(() => decodeResponse(answer, request, [8, 12, 3], true)).toThrow('expected [1, 8, 12, 3]');
  });

  const decode = (answer: ReturnType<typeof response>, batched = true) =>
    decodeResponse(answer, request, [4, 6, 3], batched);

  it('finds the output by its name and takes the batch dimension off', () => {
    const answer = response([1, 4, 6, 3], 72);
    const { version, output } = decode(answer);
    expect(version).toBe('2');
    expect(output).toMatchObject({ name: 'image', datatype: 'UINT8', shape: [4, 6, 3] });
    expect(output.data).toBe(answer.rawOutputContents[1]);
    expect(decode(response([4, 6, 3], 72), false).output.shape).toEqual([4, 6, 3]);
  });

  it.each([
    ['of another name', response([1, 4, 6, 3], 72, 'UINT8', 'picture'), 'other, picture'],
    ['of another type', response([1, 4, 6, 3], 72, 'FP32'), 'FP32'],
    ['of two elements', response([2, 4, 6, 3], 144), '[2, 4, 6, 3]'],
    ['of another size', response([1, 2, 3, 3], 18), '[1, 2, 3, 3]'],
    ['with too few bytes', response([1, 4, 6, 3], 71), '71'],
    ['without any', { ...response([1, 4, 6, 3], 72), rawOutputContents: [] }, 'raw bytes'],
  ])('refuses an output %s', (_, answer, given) => {
    expect(() => decode(answer)).toThrow(
      expect.objectContaining({ code: 'MODEL_OUTPUT_INVALID', message: expect.stringContaining(given) as string }),
    );
  });
});
