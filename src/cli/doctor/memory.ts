/** The memory that a worker may need, against what there is. */
import { totalmem } from 'node:os';
import type { Config } from '../../config/index.js';
import { capacityOf } from '../../domain/capacity.js';
import type { ModelContract, VersionContract } from '../../domain/contract.js';
import { keptForSmall } from '../../scheduling/budget.js';
import { check, fault, ok, warning } from './check.js';

const MIB = 1024 ** 2;
/** Buffers that are not collected yet, code and heap; and the worker at rest (docs/pixels.md). */
const OTHERS = 150e6 + 150 * MIB;

export const memory = check({
  name: 'machine.memory',
  reads: ['maxDecodedBytes', 'maxJobs', 'maxInputBytes'],
  async run(config, deployment) {
    const { tritonUrl } = deployment.settings(['tritonUrl']).values;
    const contracts =
      tritonUrl === undefined
        ? []
        : await deployment.catalogue({ tritonUrl }).then(
            (catalogue) => [...catalogue.contracts.values()],
            () => [], // `triton.live` says why
          );
    const limit = memoryLimit(process.constrainedMemory(), totalmem());
    const needed = memoryNeeded(config, contracts);
    const least = config.maxDecodedBytes + OTHERS;
    const sum = `a worker may need ${inMib(needed)}${contracts.length === 0 ? ' and its tensors' : ''}`;
    if (least > limit) {
      return [
        fault(
          `IMAGEN_MAX_DECODED_BYTES alone permits ${inMib(least)}, and the limit is ${inMib(limit)}: the worker will be killed`,
          `lower IMAGEN_MAX_DECODED_BYTES to ${Math.max(1, Math.floor((limit - OTHERS) / 2 / MIB)) * MIB}, or raise the limit of the container`,
        ),
      ];
    }
    if (needed <= limit) return [ok(`${sum}, and the limit is ${inMib(limit)}`)];
    return [
      warning(
        `${sum} at the most, and the limit is ${inMib(limit)}`,
        'raise the limit, or lower IMAGEN_MAX_DECODED_BYTES, IMAGEN_MAX_JOBS or IMAGEN_MAX_INPUT_BYTES (docs/pixels.md#memory)',
      ),
    ];
  },
});

/**
 * @param constrained the limit of the container in bytes, as Node tells it: 0, undefined or a huge number without one
 * @param total memory of the machine, in bytes
 */
export function memoryLimit(constrained: number | undefined, total: number): number {
  return constrained === undefined || constrained === 0 ? total : Math.min(constrained, total);
}

/** The sum of k8s/worker/deployment.yaml, in bytes: pictures, small pictures, input and output files, tensors, the rest. */
export function memoryNeeded(
  { maxDecodedBytes, maxJobs, maxInputBytes }: Pick<Config, 'maxDecodedBytes' | 'maxJobs' | 'maxInputBytes'>,
  contracts: readonly ModelContract[],
): number {
  const pictures = maxDecodedBytes + keptForSmall(maxDecodedBytes);
  const files = maxJobs * maxInputBytes + maxDecodedBytes / 2;
  const tensors = contracts.reduce((sum, contract) => sum + tensorBytes(contract), 0);
  return pictures + files + tensors + OTHERS;
}

/** Tensors in flight of the model's largest version, in bytes. */
function tensorBytes(contract: ModelContract): number {
  const { inFlight } = capacityOf(contract);
  const ofVersion = ({ plans, tileSizes, fitSize, maxWholePixels, scale }: VersionContract) => {
    const tile = Math.max(0, ...tileSizes) ** 2;
    const frame = fitSize ? fitSize.width * fitSize.height : 0;
    const whole = plans.includes('whole') ? 2 * maxWholePixels : 0;
    const output = contract.output === 'mask' ? 1 / 3 : scale ** 2;
    return Math.max(inFlight * Math.max(tile, frame), whole) * 3 * (1 + output) * 2;
  };
  return Math.max(0, ...[...contract.versions.values()].map(ofVersion));
}

const inMib = (bytes: number) => `${Math.ceil(bytes / MIB)} MiB`;
