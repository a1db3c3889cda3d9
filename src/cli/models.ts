import { Command } from 'commander';
import { reloadModel } from '../adapters/triton/reload.js';
import { connectTriton } from '../adapters/triton/server.js';
import { readConfig } from '../config/index.js';
import { capacityOf } from '../domain/capacity.js';
import { type Invocation, UsageError } from './usage.js';

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
    })
    .addCommand(reloadCommand(invocation).exitOverride());
}

function reloadCommand(invocation: Invocation): Command {
  return new Command('reload')
    .description('give a model new processes, at every replica of Triton, one after another')
    .argument('<name>', 'name of the model')
    .option('--json', 'print JSON')
    .action(async (model: string, _: unknown, command: Command) => {
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const { tritonUrl, tritonAdminKey } = readConfig(invocation.env, ['tritonUrl', 'tritonAdminKey']);
      if (tritonAdminKey === undefined) {
        throw new UsageError(
          'TRITON_ADMIN_KEY is not set. Expected the key that Triton was started with (docs/images.md).',
        );
      }
      const never = new AbortController().signal;
      const done = await reloadModel(tritonUrl, model, tritonAdminKey, never, (outcome) => {
        if (json) return;
        if (outcome.reloaded) console.log(`${outcome.replica}: ${model} loaded again after ${outcome.seconds} s`);
        else console.error(`imagen: ${outcome.replica}: ${model} was not reloaded: ${outcome.error}`);
      });
      if (json) console.log(JSON.stringify({ model, replicas: done }, null, 2));
      if (!done.every(({ reloaded }) => reloaded)) invocation.exitCode = 1;
    });
}
