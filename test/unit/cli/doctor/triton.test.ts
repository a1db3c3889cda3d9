/** What the real Triton of the tests never says: that it is not ready, of another version, open, or without a model. */
import { fileURLToPath } from 'node:url';
import { Metadata, Server, ServerCredentials, status, type handleUnaryCall } from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CHECKS } from '../../../../src/cli/doctor/checks.js';
import { Deployment } from '../../../../src/cli/doctor/deployment.js';
import { examine } from '../../../../src/cli/doctor/examine.js';

const PROTO_DIR = fileURLToPath(new URL('../../../../proto', import.meta.url));
const loaded = loadSync('inference.proto', { includeDirs: [PROTO_DIR], longs: Number, enums: String, defaults: true });

describe('Triton', () => {
  let server: Server;
  let port: number;
  let said: Record<string, object>;

  beforeEach(async () => {
    said = {
      ServerLive: { live: true },
      ServerReady: { ready: true },
      ServerMetadata: { name: 'triton', version: '2.51.0' },
      RepositoryIndex: { models: [] },
      ModelStatistics: { modelStats: [] },
    };
    const restricted = { code: status.UNAVAILABLE, details: 'This protocol is restricted', metadata: new Metadata() };
    const answer = (method: string): handleUnaryCall<object, object> => {
      return (_, give) => {
        const body = said[method];
        if (body) give(null, body);
        else give(Object.assign(new Error(restricted.details), restricted));
      };
    };
    server = new Server();
    server.addService(
      loaded['inference.GRPCInferenceService'] as ServiceDefinition,
      Object.fromEntries(Object.keys(said).map((method) => [method, answer(method)])),
    );
    port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('localhost:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
  });
  afterEach(() => server.forceShutdown());

  async function findings(env: NodeJS.ProcessEnv = {}) {
    const unary = { IMAGEN_TRITON_TRANSPORT: 'unary' };
    const deployment = new Deployment({ TRITON_URL: `localhost:${port}`, ...unary, ...env });
    try {
      return await examine(
        CHECKS.filter(({ name }) => name.startsWith('triton.')),
        deployment,
      );
    } finally {
      deployment.close();
    }
  }

  it('that is not ready is a fault, and the rest is skipped', async () => {
    said.ServerReady = { ready: false };
    const [first, ...rest] = await findings();
    expect(first).toMatchObject({
      ...{ name: 'triton.live', verdict: 'fault' },
      message: `Triton at localhost:${port} says that it is not ready`,
      cure: expect.stringContaining('--strict-readiness=false') as string,
    });
    expect(new Set(rest.map(({ message }) => message))).toEqual(new Set(['triton.live found a fault']));
  });

  it.each([
    ['2.51.3', 'ok'],
    ['2.5.1', 'warning'],
    ['2.52.0', 'warning'],
  ])('of version %s: %s', async (version, verdict) => {
    said.ServerMetadata = { name: 'triton', version };
    expect(await findings()).toContainEqual(expect.objectContaining({ name: 'triton.version', verdict }));
  });

  it('whose repository is open is warned of', async () => {
    expect(await findings()).toContainEqual({
      ...{ name: 'triton.restricted', verdict: 'warning' },
      message: expect.stringContaining('have it run code') as string,
      cure: expect.stringContaining('TRITON_RESTRICTED=model-repository') as string,
    });
  });

  it('whose repository is closed is well without a key', async () => {
    delete said.RepositoryIndex;
    expect(await findings()).toContainEqual(expect.objectContaining({ name: 'triton.restricted', verdict: 'ok' }));
  });

  it('that serves no model is a fault', async () => {
    expect(await findings()).toContainEqual({
      ...{ name: 'triton.model', verdict: 'fault' },
      message: 'Triton serves no model that a worker can use',
      cure: expect.stringContaining('load one') as string,
    });
  });

  it('with which no memory is shared is told so', async () => {
    expect(await findings()).toContainEqual({
      ...{ name: 'triton.shared-memory', verdict: 'skipped' },
      message: 'not used: tensors travel by unary',
    });
  });
});
