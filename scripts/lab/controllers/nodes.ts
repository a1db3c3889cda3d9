/** The nodes beneath a Deployment's pods, with the delays that the simulator assumes. Times are milliseconds. */
import { type Machine, NODE_UNNEEDED_SECONDS } from '../autoscale/plant.js';
import { toMs } from './clock.js';

export interface Node {
  readonly name: string;
  readonly readyAt: number;
}

interface Occupied extends Node {
  readonly pods: Set<string>;
  emptySince: number;
}

export class Nodes {
  #nodes: Occupied[] = [];
  #made = 0;

  /** The first node is there from the beginning. */
  constructor(
    private readonly name: string,
    private readonly machine: Machine,
  ) {
    this.#add(-Infinity);
  }

  /** @returns the first node with room, or a new one, which takes time to start */
  take(pod: string, now: number): Node {
    this.#nodes = this.#nodes.filter(
      ({ pods, emptySince }) => pods.size > 0 || now - emptySince < toMs(NODE_UNNEEDED_SECONDS),
    );
    const room = this.#nodes.find(({ pods }) => pods.size < this.machine.podsPerNode);
    const node = room ?? this.#add(now + toMs(this.machine.nodeSeconds));
    node.pods.add(pod);
    return node;
  }

  leave(pod: string, now: number): void {
    for (const node of this.#nodes) if (node.pods.delete(pod) && node.pods.size === 0) node.emptySince = now;
  }

  #add(readyAt: number): Occupied {
    const node = { name: `${this.name}-${this.#made++}`, readyAt, pods: new Set<string>(), emptySince: Infinity };
    this.#nodes.push(node);
    return node;
  }
}
