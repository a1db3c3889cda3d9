/** Reads what the server is and where its models run, for people who size a deployment. */
import type { CallOptions, Channel } from './channel.js';
import type { ModelConfig } from './wire.js';

/** `model` means that the model's own code chooses, `auto` that Triton has not said what it chose. */
export type Device = 'gpu' | 'cpu' | 'model' | 'auto';

export interface Placement {
  /** What `instance_group` says. */
  readonly device: Device;
  /** Number of different GPUs that the instances use; 0 if there is none. */
  readonly gpus: number;
}

export interface ServerAbout {
  /** Version of Triton. */
  readonly version: string;
  /** Whether its address is this host itself. */
  readonly local: boolean;
  /** By model. */
  readonly placements: ReadonlyMap<string, Placement>;
}

/**
 * Key by which a model of this repository names the model that runs its network (triton/README.md). The network's
 * instances then say more than those of the model in front.
 */
const NETWORK_KEY = 'runtime.model';
const DEVICES = { KIND_GPU: 'gpu', KIND_CPU: 'cpu', KIND_MODEL: 'model', KIND_AUTO: 'auto' } as const;

/** @throws the signal's reason, or ServiceError if the server does not answer or does not have a model */
export async function readAbout(
  channel: Channel,
  models: readonly string[],
  options: CallOptions,
): Promise<ServerAbout> {
  const { version } = await channel.call('ServerMetadata', {}, options);
  const read = async (name: string) => (await channel.call('ModelConfig', { name, version: '' }, options)).config;
  const placements = new Map<string, Placement>();
  for (const model of models) {
    const front = await read(model);
    const network = front?.parameters[NETWORK_KEY]?.stringValue;
    placements.set(model, placementOf(network === undefined ? front : await read(network)));
  }
  return { version, local: channel.isLocal, placements };
}

/** A model with instances on GPUs and on processors counts as one on GPUs. */
export function placementOf(config: Pick<ModelConfig, 'instanceGroup'> | null): Placement {
  const groups = config?.instanceGroup ?? [];
  const kinds = groups.map(({ kind }) => DEVICES[kind]);
  const device = (['gpu', 'model', 'auto'] as const).find((one) => kinds.includes(one)) ?? 'cpu';
  return { device, gpus: new Set(groups.flatMap(({ gpus }) => gpus)).size };
}
