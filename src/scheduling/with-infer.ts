import type { ModelServer } from '../domain/ports.js';

/** The same server but for its inference. */
export function withInfer(server: ModelServer, infer: ModelServer['infer']): ModelServer {
  return {
    contracts: () => server.contracts(),
    unready: () => server.unready(),
    refresh: (signal, about) => server.refresh(signal, about),
    statistics: (model, signal) => server.statistics(model, signal),
    infer,
  };
}
