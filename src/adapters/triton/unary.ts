/** Each inference is a call of its own: balanced over all replicas, with its own deadline and status code. */
import { annotate } from '../../spans.js';
import type { Channel } from './channel.js';
import type { InferTransport } from './transport.js';

export function unaryTransport(channel: Channel): InferTransport {
  return {
    infer(request, options) {
      annotate(() => ({ 'imagen.transport': 'unary' }));
      return channel.call('ModelInfer', request, options);
    },
    close: () => Promise.resolve(),
  };
}
