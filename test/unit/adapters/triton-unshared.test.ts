/**
 * A Triton that refuses the shared memory of clients, in the words of 2.71: 2.51, which the other tests run on, has no such
 * setting. From 2.68 on it is the default.
 */
import { fileURLToPath } from 'node:url';
import { Metadata, Server, ServerCredentials, status, type handleUnaryCall } from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Channel } from '../../../src/adapters/triton/channel.js';
import { encodeRequest } from '../../../src/adapters/triton/codec.js';
import { openTransport } from '../../../src/adapters/triton/open-transport.js';
import type { InferTransport } from '../../../src/adapters/triton/transport.js';
import type { ModelInferRequest } from '../../../src/adapters/triton/wire.js';
import { createTensor } from '../../../src/domain/tensor.js';

const PROTO_DIR = fileURLToPath(new URL('../../../proto', import.meta.url));
const loaded = loadSync('inference.proto', { includeDirs: [PROTO_DIR], longs: Number, enums: String, defaults: true });

/** server/src/common.h and grpc/grpc_server.cc: TRITONSERVER_ERROR_UNSUPPORTED, which gRPC calls UNIMPLEMENTED. */
const REFUSAL = "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.";

const picture = createTensor('image', 'UINT8', [8, 8, 3], Buffer.alloc(192, 5));
const request = encodeRequest(
  { model: 'echo', version: '1', inputs: [picture], output: 'image', priority: 'batch', parameters: {} },
  false,
);

let server: Server;
let channel: Channel;
let transport: InferTransport;
/** Whether the server that answers now allows shared memory; it knows only the regions that were registered with itself. */
let allows: boolean;
let regions: Set<string>;
let said: string[];

type Give = Parameters<handleUnaryCall<object, object>>[1];
const fail = (give: Give, code: status, details: string) =>
  give(Object.assign(new Error(details), { code, details, metadata: new Metadata() }));

const METHODS: Record<string, (request: never, give: Give) => void> = {
  SystemSharedMemoryRegister({ name }: { name: string }, give) {
    if (!allows) {
      fail(give, status.UNIMPLEMENTED, REFUSAL);
      return;
    }
    regions.add(name);
    give(null, {});
  },
  SystemSharedMemoryUnregister({ name }: { name: string }, give) {
    if (!allows) {
      fail(give, status.UNIMPLEMENTED, REFUSAL);
      return;
    }
    regions.delete(name);
    give(null, {});
  },
  SystemSharedMemoryStatus: (_, give) => give(null, { regions: {} }),
  ModelInfer({ inputs, rawInputContents }: ModelInferRequest, give) {
    const region = inputs[0]?.parameters?.shared_memory_region as { stringParam?: string } | undefined;
    const name = region?.stringParam;
    if (name !== undefined && !regions.has(name)) {
      fail(give, status.INVALID_ARGUMENT, `Unable to find shared memory region: '${name}'`);
      return;
    }
    const output = { name: 'image', datatype: 'UINT8', shape: [8, 8, 3] };
    give(null, { outputs: [output], rawOutputContents: name === undefined ? rawInputContents : [] });
  },
};

beforeEach(async () => {
  allows = true;
  regions = new Set();
  said = [];
  server = new Server();
  server.addService(
    loaded['inference.GRPCInferenceService'] as ServiceDefinition,
    Object.fromEntries(
      Object.entries(METHODS).map(([name, answer]) => {
        const handle: handleUnaryCall<object, object> = ({ request: given }, give) => answer(given as never, give);
        return [name, handle];
      }),
    ),
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  channel = new Channel(`127.0.0.1:${port}`);
  transport = openTransport('auto', channel, (reason) => said.push(reason));
});
afterEach(async () => {
  await transport.close();
  channel.close();
  server.forceShutdown();
});

/** Several requests at once, and how their tensors travelled. */
async function carriersOf(count: number): Promise<string[]> {
  const carriers: string[] = [];
  const signal = new AbortController().signal;
  const onSend = (carrier: string) => carriers.push(carrier);
  const options = { signal, deadlineMs: 10_000, outputBytes: 192, onSend };
  await Promise.all(Array.from({ length: count }, () => transport.infer(request, options)));
  return carriers;
}

it('auto sends tensors in messages to a server that refuses shared memory, and says why once', async () => {
  allows = false;
  expect(await carriersOf(4)).toEqual(Array(4).fill('unary'));
  expect(await carriersOf(4)).toEqual(Array(4).fill('unary'));
  expect(said).toEqual([expect.stringContaining(REFUSAL)]);
});

it('auto leaves shared memory when a newer server takes the place of one that shared it', async () => {
  expect(await carriersOf(2)).toEqual(['shm', 'shm']);
  expect(said).toEqual([]);
  allows = false;
  regions.clear();
  const carriers = await carriersOf(4);
  expect(carriers.filter((carrier) => carrier === 'unary')).toHaveLength(4);
  expect(await carriersOf(4)).toEqual(Array(4).fill('unary'));
  expect(said).toEqual([expect.stringContaining(REFUSAL)]);
  // Nor does a worker that stops wait until the new server lets go of what it never had.
  const begun = performance.now();
  await transport.close();
  expect(performance.now() - begun).toBeLessThan(1_000);
});
