import { Command } from 'commander';
import { reloadModel } from '../adapters/triton/reload.js';
import { connectTriton } from '../adapters/triton/server.js';
import { readConfig } from '../config/index.js';
import { capacityOf } from '../domain/capacity.js';
import type { ModelContract } from '../domain/contract.js';
import { promoteCommand } from './models/promote.js';
import { rollbackCommand } from './models/rollback.js';
import { reachTriton } from './reach.js';
import { print, printJson, printText, say } from './output.js';
import { type Invocation, UsageError, withHelp } from './usage.js';

export function modelsCommand(invocation: Invocation): Command {
  const command = new Command('models')
    .description("show the models that Triton serves, and each version's contract")
    .option('--json', 'print one JSON document')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const { tritonUrl } = readConfig(invocation.env, ['tritonUrl']);
      const server = connectTriton({ url: tritonUrl });
      try {
        await reachTriton(server, tritonUrl);
        const contracts = [...server.contracts().values()];
        if (json) {
          const ready = contracts.map((contract) => ({ ...contract, versions: Object.fromEntries(contract.versions) }));
          printJson({ ready, unready: Object.fromEntries(server.unready()) });
        } else {
          for (const contract of contracts) printText(describe(contract));
          for (const [model, reason] of server.unready()) print(`${model}: not ready: ${reason}`);
        }
        if (contracts.length === 0) invocation.exitCode = 1;
      } finally {
        await server.close();
      }
    })
    .addCommand(reloadCommand(invocation))
    .addCommand(promoteCommand(invocation))
    .addCommand(rollbackCommand(invocation));
  return withHelp(command, ['models', 'models --json', 'models reload upscale'], {
    1: 'Triton does not answer, or serves no model that the worker can use',
  });
}

function describe(contract: ModelContract): string {
  const { model, output, maxBatchSize, instances } = contract;
  const { inFlight } = capacityOf(contract);
  const versions = [...contract.versions].map(([version, { plans, tileSizes, margin, scale, fitSize }]) => {
    const fit = fitSize ? `, fit ${fitSize.width}x${fitSize.height}` : '';
    const tiles = tileSizes.length > 0 ? `, tiles ${tileSizes.join('/')} margin ${margin}` : '';
    return `  version ${version}: ${plans.join('|')}, scale ${scale}${tiles}${fit}`;
  });
  const head = `${model}: ${output}, batch ${maxBatchSize}, ${instances} instance(s), in flight ${inFlight}`;
  return [head, ...versions].join('\n');
}

function reloadCommand(invocation: Invocation): Command {
  const command = new Command('reload')
    .description('give a model new processes, at every replica of Triton, one after another')
    .argument('<name>', 'name of the model')
    .option('--json', 'print one JSON document')
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
        if (outcome.reloaded) print(`${outcome.replica}: ${model} loaded again after ${outcome.seconds} s`);
        else say(`imagen: ${outcome.replica}: ${model} was not reloaded: ${outcome.error}`);
      });
      if (json) printJson({ model, replicas: done });
      if (!done.every(({ reloaded }) => reloaded)) invocation.exitCode = 1;
    });
  return withHelp(command, ['models reload upscale'], { 1: 'a replica does not answer, or did not reload it' });
}
