import type { ModelServer } from '../domain/ports.js';

/** The same server with another `infer`. */
export function withInfer(server: ModelServer, infer: ModelServer['infer']): ModelServer {
  return {
    contracts: () => server.contracts(),
    unready: () => server.unready(),
    refresh: (signal, about) => server.refresh(signal, about),
    contractsNow: (name, signal) => server.contractsNow(name, signal),
    faultOf: (name, since, signal) => server.faultOf(name, since, signal),
    statistics: (model, signal) => server.statistics(model, signal),
    infer,
  };
}
