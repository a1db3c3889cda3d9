/** A Deployment's pods and the nodes beneath them: how long they take to come, and what they cost until they are gone. */
import { type Machine, NODE_UNNEEDED_SECONDS } from './plant.js';

export interface Pod {
  readonly readyAt: number;
  /** Since when it takes no more work; undefined while it does. */
  drainingSince?: number;
}

export class Pods<P extends Pod> {
  readonly draining = new Set<P>();
  active: P[] = [];
  #nodes: number[] = [];
  #unneededSince: number | undefined;
  /** Seconds that nodes were there, times their price an hour, over 3600. */
  cost = 0;
  /** Seconds that pods were there, from their creation until they were gone. */
  podSeconds = 0;

  constructor(
    private readonly machine: Machine,
    private readonly make: (readyAt: number) => P,
  ) {}

  ready(now: number): P[] {
    return this.active.filter(({ readyAt }) => readyAt <= now);
  }

  /** Adds pods, or ends some: those that are not ready first, then the youngest, as the ReplicaSet controller does. */
  scale(now: number, replicas: number): void {
    while (this.active.length > replicas) {
      const waiting = this.active.findLastIndex(({ readyAt }) => readyAt > now);
      const [pod] = this.active.splice(waiting >= 0 ? waiting : this.active.length - 1, 1);
      if (!pod) return;
      pod.drainingSince = now;
      this.draining.add(pod);
    }
    while (this.active.length < replicas) {
      const { podSeconds, nodeSeconds, podsPerNode } = this.machine;
      const place = Math.floor((this.active.length + this.draining.size) / podsPerNode);
      const node = (this.#nodes[place] ??= now + nodeSeconds);
      this.active.push(this.make(Math.max(now, node) + podSeconds));
    }
  }

  begin(replicas: number): void {
    this.#nodes = Array.from({ length: Math.ceil(replicas / this.machine.podsPerNode) }, () => 0);
    while (this.active.length < replicas) this.active.push(this.make(0));
  }

  /** Lets `seconds` pass: nodes are paid for, and go when they have been unneeded for long enough. */
  pass(now: number, seconds: number): void {
    this.podSeconds += (this.active.length + this.draining.size) * seconds;
    this.cost += (this.#nodes.length * this.machine.pricePerHour * seconds) / 3600;
    const needed = Math.ceil((this.active.length + this.draining.size) / this.machine.podsPerNode);
    if (needed >= this.#nodes.length) this.#unneededSince = undefined;
    else if (now - (this.#unneededSince ??= now) >= NODE_UNNEEDED_SECONDS) {
      this.#nodes.length = needed;
      this.#unneededSince = undefined;
    }
  }
}
