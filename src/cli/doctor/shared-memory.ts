/** The memory that a worker shares with Triton. */
import { statfsSync } from 'node:fs';
import { DIRECTORY } from '../../adapters/triton/region-names.js';
import { MAX_TOTAL_BYTES } from '../../adapters/triton/region-pool.js';
import { trySharing } from '../../adapters/triton/shm.js';
import { check, fault, ok, skipped, warning } from './check.js';
import { live } from './triton.js';

const MIB = 1024 ** 2;

export const sharedMemory = check({
  name: 'triton.shared-memory',
  reads: ['tritonUrl', 'tritonTransport'],
  needs: [live.name],
  async run(config, deployment) {
    const { tritonTransport: transport } = config;
    const channel = deployment.triton(config);
    if (transport === 'unary' || transport === 'stream') return [skipped(`not used: tensors travel by ${transport}`)];
    if (transport === 'auto' && !channel.isLocal) return [skipped('not used: Triton is on another machine')];
    const reason = await trySharing(channel);
    if (reason !== undefined) {
      const message = `tensors cannot travel through shared memory: ${reason}`;
      const cure =
        'mount one volume of kind Memory at /dev/shm in both containers, and start Triton with TRITON_RESTRICTED=model-repository (k8s/components/triton-sidecar)';
      return transport === 'shm'
        ? [fault(message, `${cure}; or set IMAGEN_TRITON_TRANSPORT to auto`)]
        : [warning(`${message}; they travel in messages, which takes longer`, cure)];
    }
    const { bavail, bsize } = statfsSync(DIRECTORY);
    const free = `${DIRECTORY} has ${Math.floor((bavail * bsize) / MIB)} MiB free`;
    if (bavail * bsize >= MAX_TOTAL_BYTES) return [ok(free)];
    return [
      warning(
        `${free}, and a worker uses up to ${MAX_TOTAL_BYTES / MIB} MiB; beyond that tensors travel in messages`,
        'raise the sizeLimit of the volume, or --shm-size of the container',
      ),
    ];
  },
});
