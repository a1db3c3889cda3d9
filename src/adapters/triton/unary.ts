/** Each inference is a separate call: balanced over all replicas, with its own deadline and status code. */
import type { Channel } from './channel.js';
import type { InferTransport } from './transport.js';

export function unaryTransport(channel: Channel): InferTransport {
  return {
    infer(request, options) {
      options.onSend?.('unary');
      return channel.call('ModelInfer', request, options);
    },
    close: () => Promise.resolve(),
  };
}
