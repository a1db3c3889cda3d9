import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { afterEach, describe, expect, it } from 'vitest';
import { inPieces, Pieces } from '../../../src/adapters/triton/infer-message.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../src/adapters/triton/wire.js';

const proto = loadSync('inference.proto', { includeDirs: ['proto'], longs: Number, enums: String, defaults: true });
const service = proto['inference.GRPCInferenceService'] as ServiceDefinition;
const method = service.ModelInfer as unknown as MethodDefinition<ModelInferRequest, ModelInferResponse>;

const requestWith = (...tensors: Buffer[]): ModelInferRequest => ({
  ...{ modelName: 'echo', modelVersion: '1', parameters: { strength: { doubleParam: 0.5 } } },
  inputs: tensors.map(({ length }, i) => ({ name: `input${i}`, datatype: 'UINT8', shape: [1, length] })),
  outputs: [{ name: 'image' }],
  rawInputContents: tensors,
});

describe('a request in pieces', () => {
  let server: Server | undefined;
  afterEach(() => server?.forceShutdown());

  it.each([[[]], [[0]], [[1]], [[127]], [[128]], [[16_383, 16_384]], [[2_097_152, 16]]])(
    'holds what protobufjs would write, with tensors of %j bytes',
    (lengths) => {
      const request = requestWith(...lengths.map((length) => Buffer.alloc(length, 7)));
      const pieces = inPieces(method).requestSerialize(request);
      const target = Buffer.alloc(pieces.length + 5);
      pieces.copy(target, 5);
      const { rawInputContents: tensors, ...sent } = method.requestDeserialize(target.subarray(5));
      const { rawInputContents: whole, ...expected } = method.requestDeserialize(method.requestSerialize(request));
      expect(sent).toEqual(expected);
      expect(tensors.length).toBe(lengths.length);
      expect(tensors.every((data, i) => data.equals(whole[i] ?? Buffer.alloc(0)))).toBe(true);
    },
  );

  it('is asked by grpc-js for nothing but its length and a copy', async () => {
    const asked = new Set<string | symbol>();
    const watched: typeof method.requestSerialize = (request) => {
      const pieces = inPieces(method).requestSerialize(request);
      return new Proxy(pieces, {
        get(target, name) {
          asked.add(name);
          const value: unknown = Reflect.get(target, name);
          return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        },
      });
    };
    server = new Server();
    server.addService(service, {
      ModelInfer: (
        call: { request: ModelInferRequest },
        answer: (error: null, response: Partial<ModelInferResponse>) => void,
      ) => answer(null, { rawOutputContents: call.request.rawInputContents }),
    });
    const port = await new Promise<number>((resolve, reject) => {
      server?.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const tensor = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    const response = await new Promise<ModelInferResponse | undefined>((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        watched,
        method.responseDeserialize,
        requestWith(tensor),
        (error: unknown, value?: ModelInferResponse) => (error ? reject(error as Error) : resolve(value)),
      );
    });
    client.close();
    expect(response?.rawOutputContents[0]?.equals(tensor)).toBe(true);
    expect([...asked].sort()).toEqual(['copy', 'length']);
    expect(new Pieces([]).length).toBe(0);
  });
});
