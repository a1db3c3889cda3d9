/**
 * A load balancing policy for grpc-js: round robin over all replicas except those that a call names in its metadata. If a
 * call names all of them, the policy takes one of them. The names are not sent to the server.
 *
 * grpc-js has no other way to choose a replica per call. Its outlier detection detects failing replicas, but not per model.
 */
import { connectivityState, experimental, type Metadata } from '@grpc/grpc-js';

export const POLICY = 'imagen_round_robin_avoiding';
const AVOID = 'imagen-avoid';

/** Adds the addresses that a call should avoid. */
export function avoidIn(metadata: Metadata, replicas: readonly string[]): void {
  for (const replica of replicas) metadata.add(AVOID, replica);
}

/** Limit on picks per call. It matters only if this many successive picks are all to be avoided. */
const MOST_PICKS = 64;

class AvoidingPicker implements experimental.Picker {
  constructor(readonly inner: experimental.Picker) {}

  pick(args: experimental.PickArgs): experimental.PickResult {
    const avoided = args.metadata.get(AVOID);
    args.metadata.remove(AVOID);
    let result = this.inner.pick(args);
    const first = result.subchannel?.getAddress();
    for (let picks = 1; picks < MOST_PICKS; picks++) {
      const address = result.subchannel?.getAddress();
      if (address === undefined || !avoided.includes(address)) return result;
      result = this.inner.pick(args);
      if (result.subchannel?.getAddress() === first) return result; // all replicas tried once
    }
    return result;
  }
}

class Avoiding implements experimental.LoadBalancer {
  readonly #child: experimental.ChildLoadBalancerHandler;

  constructor(helper: experimental.ChannelControlHelper) {
    const forChild = experimental.createChildChannelControlHelper(helper, {
      updateState(state, picker, error) {
        const ready = state === connectivityState.READY;
        helper.updateState(state, ready ? new AvoidingPicker(picker) : picker, error);
      },
    });
    this.#child = new experimental.ChildLoadBalancerHandler(forChild);
  }

  updateAddressList(...[endpoints, , options, note]: Parameters<experimental.LoadBalancer['updateAddressList']>) {
    const roundRobin = experimental.parseLoadBalancingConfig({ round_robin: {} });
    return this.#child.updateAddressList(endpoints, roundRobin, options, note);
  }

  exitIdle(): void {
    this.#child.exitIdle();
  }

  resetBackoff(): void {
    this.#child.resetBackoff();
  }

  destroy(): void {
    this.#child.destroy();
  }

  getTypeName(): string {
    return POLICY;
  }
}

class Config implements experimental.TypedLoadBalancingConfig {
  getLoadBalancerName(): string {
    return POLICY;
  }

  toJsonObject(): object {
    return { [POLICY]: {} };
  }

  static createFromJson(): Config {
    return new Config();
  }
}

experimental.registerLoadBalancerType(POLICY, Avoiding, Config);
