/** Answers of models that tests of pixels share: a network is asked once for each request, however many tests need it. */
import { createHash } from 'node:crypto';
import type { InferenceRequest, InferenceResult, ModelServer } from '../../src/domain/ports.js';

export interface KeptAnswers extends ModelServer {
  /** Frees the memory of the answers. */
  forget(): void;
}

/** A server whose models always answer the same request in the same way, and so are asked once. */
export function keepAnswers(models: ModelServer): KeptAnswers {
  const answers = new Map<string, Promise<InferenceResult>>();
  return {
    contracts: () => models.contracts(),
    refresh: (...about) => models.refresh(...about),
    contractsNow: (...about) => models.contractsNow(...about),
    faultOf: (...about) => models.faultOf(...about),
    unready: () => models.unready(),
    statistics: (...about) => models.statistics(...about),
    async infer(request, signal) {
      const key = keyOf(request);
      const asked = answers.get(key) ?? models.infer(request, signal);
      answers.set(key, asked);
      const { version, output } = await asked;
      // The pipeline changes an answer in place.
      return { version, output: { ...output, data: Buffer.from(output.data) } };
    },
    forget: () => answers.clear(),
  };
}

/** Everything that an answer depends on. */
function keyOf({ model, version, output, parameters, inputs }: InferenceRequest): string {
  const hash = createHash('sha256').update(JSON.stringify({ model, version, output, parameters }));
  for (const { name, shape, data } of inputs) hash.update(`${name} ${shape.join()} `).update(data);
  return hash.digest('hex');
}
