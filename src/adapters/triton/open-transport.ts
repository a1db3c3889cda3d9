import type { Channel } from './channel.js';
import { autoTransport, sharedMemoryTransport } from './shm.js';
import { streamTransport } from './stream.js';
import type { InferTransport } from './transport.js';
import { unaryTransport } from './unary.js';

export type TransportName = 'auto' | 'unary' | 'stream' | 'shm';

/** @param onUnshared called with the reason when `auto` decides against shared memory */
export function openTransport(
  name: TransportName,
  channel: Channel,
  onUnshared?: (reason: string) => void,
): InferTransport {
  const unary = unaryTransport(channel);
  switch (name) {
    case 'unary':
      return unary;
    case 'stream':
      return streamTransport(channel);
    case 'shm':
      return sharedMemoryTransport(channel, unary);
    case 'auto':
      return channel.isLocal ? autoTransport(channel, unary, onUnshared) : unary;
  }
}
