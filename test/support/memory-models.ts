import type { ModelContract, VersionContract } from '../../src/domain/contract.js';
import { JobError } from '../../src/domain/errors.js';
import type { InferenceRequest, ModelServer } from '../../src/domain/ports.js';
import type { Tensor } from '../../src/domain/tensor.js';

/** What a model answers. The answer may share its bytes with the request: the server copies them. */
export type Answer = (request: InferenceRequest, signal: AbortSignal) => Tensor | Promise<Tensor>;

/** The model `m`, of which a test needs only the versions. */
export function modelOf(versions: ReadonlyMap<string, VersionContract>): ModelContract {
  const model = { model: 'm', maxBatchSize: 8, output: 'image', takesOrigin: false, versions };
  return model as unknown as ModelContract;
}

const ELEMENT_BYTES = { UINT8: 1, INT32: 4, FP32: 4 } as const;

/** Gives the first input back, as the model `echo` does. */
const echo: Answer = ({ inputs: [image] }) => {
  if (!image) throw new JobError('MODEL_REJECTED_INPUT', 'no input');
  return image;
};

/**
 * A model server in memory, for what a real one has no version for, or cannot be made to do at will. It keeps the contract of
 * contracts/model-server.ts.
 * @param contracts its models, all of them ready; a map may change later
 * @param more calls that do something else
 */
export function memoryModels(
  contracts: readonly ModelContract[] | ReadonlyMap<string, ModelContract>,
  answer: Answer = echo,
  more: Partial<ModelServer> = {},
): ModelServer {
  const known = 'get' in contracts ? contracts : new Map(contracts.map((one) => [one.model, one] as const));
  const counts = new Map<string, number>();
  return {
    contracts: () => known,
    unready: () => new Map(),
    refresh: () => Promise.resolve(),
    contractsNow: ({ model, version }) => {
      const contract = known.get(model);
      const asked = contract?.versions.get(version);
      return Promise.resolve([contract && asked && { ...contract, versions: new Map([[version, asked]]) }]);
    },
    faultOf: () => Promise.resolve(undefined),
    statistics: (model) => {
      const versions = [...(known.get(model)?.versions.keys() ?? [])];
      return Promise.resolve(versions.map((version) => statisticsOf(version, counts.get(`${model}/${version}`) ?? 0)));
    },
    async infer(request, signal) {
      signal.throwIfAborted();
      const { model, version } = request;
      const contract = known.get(model);
      if (!contract?.versions.has(version)) {
        const needs = { kind: 'model', name: model, version } as const;
        throw new JobError('MODEL_UNAVAILABLE', `model ${model}, version ${version}: not served`, { needs });
      }
      const wrong = wrongIn(request, contract);
      if (wrong !== undefined) throw new JobError('MODEL_REJECTED_INPUT', wrong);
      const output = await Promise.race([answer(request, signal), aborted(signal)]);
      counts.set(`${model}/${version}`, (counts.get(`${model}/${version}`) ?? 0) + 1);
      return { version, output: { ...output, data: Buffer.from(output.data) } };
    },
    ...more,
  };
}

/** Each request is an execution of its own, which takes a millisecond. */
const statisticsOf = (version: string, requests: number) => ({
  ...{ version, requests },
  batches: requests === 0 ? [] : [{ batchSize: 1, executions: requests, meanMs: 1 }],
});

function wrongIn({ inputs, output }: InferenceRequest, contract: ModelContract): string | undefined {
  if (output !== contract.output) return `unexpected inference output '${output}'`;
  const names = inputs.map(({ name }) => name);
  const permitted = ['image', ...(contract.takesOrigin ? ['origin'] : [])];
  const stranger = names.find((name) => !permitted.includes(name));
  if (stranger !== undefined) return `unexpected inference input '${stranger}'`;
  if (!names.includes('image')) return 'expected the input image';
  for (const { name, datatype, shape, data } of inputs) {
    const expected = shape.reduce((product, side) => product * side, ELEMENT_BYTES[datatype]);
    if (data.length !== expected) return `input ${name}: expected ${expected} bytes, given ${data.length}`;
    if (name === 'image' && shape[2] !== 3) return `input image: expected three channels, given ${shape[2]}`;
  }
  return undefined;
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
