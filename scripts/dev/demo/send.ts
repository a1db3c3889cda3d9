import { jobAttributes, type JobMessage } from '../../../src/domain/job.js';
import type { ObjectStore, Publisher } from '../../../src/domain/ports.js';
import { objectRef } from '../../../src/domain/uri.js';

export interface Door {
  readonly store: ObjectStore;
  readonly topic: Publisher;
  readonly signal: AbortSignal;
}

export interface Picture {
  readonly bytes: Buffer;
  readonly contentType: string;
}

/** Stores the picture where the message says that it is, then publishes the message. */
export async function send(message: JobMessage, { bytes, contentType }: Picture, door: Door): Promise<void> {
  const { store, topic, signal } = door;
  await store.create(objectRef(message.input.uri), bytes, { contentType, signal });
  await topic.publish(Buffer.from(JSON.stringify(message)), jobAttributes(message));
}
