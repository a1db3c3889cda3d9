/** The two Pub/Subs on which a suite runs: the stack's, which is Google's emulator, and an embedded one of the file's own. */
import { afterAll, inject } from 'vitest';
import { startServer } from '../../scripts/dev/pubsub/server.js';

const embedded = await startServer(0);
afterAll(() => embedded.close());

export interface SomePubSub {
  readonly name: string;
  /** For PUBSUB_EMULATOR_HOST. */
  readonly host: string;
  readonly isGoogles: boolean;
}

export const PUBSUBS: readonly SomePubSub[] = [
  { name: "Google's emulator", host: inject('stack').env.PUBSUB_EMULATOR_HOST, isGoogles: true },
  { name: 'the embedded Pub/Sub', host: embedded.address, isGoogles: false },
];
