import { Command } from 'commander';
import { connectTriton } from '../adapters/triton/server.js';
import { readConfig } from '../config.js';
import { capacityOf } from '../domain/contract.js';
import type { Invocation } from './usage.js';

export function modelsCommand(invocation: Invocation): Command {
  return new Command('models')
    .description("show the models that Triton serves, and each version's contract")
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => {
      const { tritonUrl } = readConfig(invocation.env, ['tritonUrl']);
      const models = connectTriton({ url: tritonUrl });
      try {
        await models.refresh(AbortSignal.timeout(10_000));
        const contracts = [...models.contracts().values()];
        if (options.json) {
          const ready = contracts.map((contract) => ({ ...contract, versions: Object.fromEntries(contract.versions) }));
          console.log(JSON.stringify({ ready, unready: Object.fromEntries(models.unready()) }, null, 2));
        } else {
          for (const contract of contracts) {
            const { model, output, maxBatchSize, instances } = contract;
            console.log(
              `${model}: ${output}, batch ${maxBatchSize}, ${instances} instance(s), in flight ${capacityOf(contract).inFlight}`,
            );
            for (const [version, { plans, tileSizes, margin, scale, fitSize }] of contract.versions) {
              const fit = fitSize ? `, fit ${fitSize.width}x${fitSize.height}` : '';
              const tiles = tileSizes.length > 0 ? `, tiles ${tileSizes.join('/')} margin ${margin}` : '';
              console.log(`  version ${version}: ${plans.join('|')}, scale ${scale}${tiles}${fit}`);
            }
          }
          for (const [model, reason] of models.unready()) console.log(`${model}: not ready: ${reason}`);
        }
        if (contracts.length === 0) invocation.exitCode = 1;
      } finally {
        await models.close();
      }
    });
}
