/** Triton: whether it answers, its version, its key, and what it serves. */
import { status } from '@grpc/grpc-js';
import { Channel } from '../../adapters/triton/channel.js';
import { isCallFailure } from '../../adapters/triton/errors.js';
import { ADMIN_HEADER } from '../../adapters/triton/replica-control.js';
import { check, fault, ok, warning } from './check.js';
import { givenAdminKey } from '../models/admin-key.js';
import { UsageError } from '../usage.js';
import { CALL_MS } from './deployment.js';
import { reasonIn } from './grpc.js';

/** The version with which everything is tested (scripts/dev/parts/triton.ts, triton/Dockerfile). */
const TESTED = '2.51';

export const live = check({
  name: 'triton.live',
  reads: ['tritonUrl'],
  async run(config, deployment, signal) {
    const { tritonUrl: url } = config;
    const options = { signal, deadlineMs: CALL_MS };
    const cure = 'start it, or mend TRITON_URL: the address of gRPC (port 8001 by default), not of HTTP';
    try {
      const channel = deployment.triton(config);
      const { live } = await channel.call('ServerLive', {}, options);
      const { ready } = await channel.call('ServerReady', {}, options);
      if (live && ready) return [ok(`${url} is live and ready`)];
      return [
        fault(
          `Triton at ${url} says that it is not ${live ? 'ready' : 'live'}`,
          'wait until it has started; its log names a model that cannot be loaded, and --strict-readiness=false lets the others serve',
        ),
      ];
    } catch (thrown) {
      if (!isCallFailure(thrown)) throw thrown;
      const what = thrown.code === status.UNIMPLEMENTED ? 'gives no answer of Triton' : 'does not answer';
      return [fault(`Triton at ${url} ${what}: ${reasonIn(thrown.details)}`, cure)];
    }
  },
});

export const version = check({
  name: 'triton.version',
  reads: ['tritonUrl'],
  needs: [live.name],
  async run(config, deployment, signal) {
    const options = { signal, deadlineMs: CALL_MS };
    const { version: found } = await deployment.triton(config).call('ServerMetadata', {}, options);
    if (found.startsWith(`${TESTED}.`)) return [ok(found)];
    return [
      warning(
        `Triton is of version ${found}; imagen is tested with ${TESTED}`,
        `use the image of docs/images.md, or try yours with test pictures first; before ${TESTED}, set IMAGEN_TRITON_TRANSPORT to unary`,
      ),
    ];
  },
});

/** The calls that load a model's code, and the key that opens them. */
export const restricted = check({
  name: 'triton.restricted',
  reads: ['tritonUrl'],
  needs: [live.name],
  async run({ tritonUrl }, deployment, signal) {
    const key = keyOrReason(deployment.settings(['tritonAdminKey', 'tritonAdminKeyFile']).values);
    if (key instanceof UsageError)
      return [fault(key.message, 'mount the key, or take the variable away (docs/images.md)')];
    if (await opens(tritonUrl, {}, signal)) {
      return [
        warning(
          'the model repository is open: anybody who reaches Triton can have it run code',
          'start Triton with TRITON_RESTRICTED=model-repository and a TRITON_ADMIN_KEY (docs/images.md)',
        ),
      ];
    }
    if (key === undefined) return [ok('the model repository is restricted, and no key is set here')];
    if (await opens(tritonUrl, { [ADMIN_HEADER]: key }, signal)) {
      return [ok('the model repository is restricted, and the key opens it')];
    }
    return [
      fault(
        'TRITON_ADMIN_KEY does not open the model repository, so `imagen models load` and `reload` are refused',
        'set TRITON_ADMIN_KEY, or TRITON_ADMIN_KEY_FILE, to the key that Triton was started with, or remove it (docs/images.md)',
      ),
    ];
  },
});

/** The key, or why there is none although a file is named; undefined if nothing is set. */
function keyOrReason(values: Parameters<typeof givenAdminKey>[0]): string | undefined | UsageError {
  try {
    return givenAdminKey(values);
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
}

/** Whether the server permits the calls of the model repository. */
async function opens(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<boolean> {
  const channel = new Channel(url, headers);
  try {
    await channel.call('RepositoryIndex', { ready: true }, { signal, deadlineMs: CALL_MS });
    return true;
  } catch (thrown) {
    if (isCallFailure(thrown) && thrown.details.includes('restricted')) return false;
    throw thrown;
  } finally {
    channel.close();
  }
}

export const models = check({
  name: 'triton.model',
  reads: ['tritonUrl'],
  needs: [live.name],
  async run(config, deployment) {
    const { contracts, unready } = await deployment.catalogue(config);
    const usable = [...contracts.values()].map(({ model, versions }) =>
      ok(`${model}: version ${[...versions.keys()].join(', ')}`),
    );
    const others = [...unready].map(([name, reason]) =>
      warning(`${name} cannot be used: ${reason}`, cureFor(name, reason)),
    );
    if (usable.length > 0) return [...usable, ...others];
    return [
      ...others,
      fault('Triton serves no model that a worker can use', 'load one: the models of this repository are in triton/'),
    ];
  },
});

/** @param name a model, or `model/version` */
export function cureFor(name: string, reason: string): string {
  const [model = name] = name.split('/');
  // Messages of ContractError begin like this.
  return reason.startsWith(`model ${model}: `)
    ? `mend its config.pbtxt (triton/README.md), then \`imagen models reload ${model}\``
    : `look at Triton's log, then load it: \`imagen models reload ${model}\``;
}
