import { Command } from 'commander';
import { readConfig } from '../../config/index.js';
import { capacityOf } from '../../domain/capacity.js';
import type { ModelContract, VersionContract } from '../../domain/contract.js';
import { print, printJson, printText } from '../output.js';
import { reachTriton } from '../reach.js';
import { type Invocation, withHelp } from '../usage.js';
import { withTriton } from '../with-triton.js';

export function listCommand(invocation: Invocation): Command {
  const command = new Command('list')
    .description("show the models that Triton serves, and each version's contract, as `imagen models` does")
    .option('--json', 'print one JSON document')
    .action(async (_: unknown, command: Command) => {
      await listModels(invocation, command.optsWithGlobals<{ json?: boolean }>().json ?? false);
    });
  return withHelp(command, ['models list', 'models list --json'], {
    1: 'Triton does not answer, or serves no model that the worker can use',
  });
}

export async function listModels(invocation: Invocation, json: boolean): Promise<void> {
  const { tritonUrl } = readConfig(invocation.env, ['tritonUrl']);
  await withTriton({ url: tritonUrl }, async (server) => {
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
  });
}

export function describe(contract: ModelContract): string {
  const { model, output, maxBatchSize, instances } = contract;
  const { inFlight } = capacityOf(contract);
  const versions = [...contract.versions].map(([version, of]) => `  version ${version}: ${describeVersion(of)}`);
  const head = `${model}: ${output}, batch ${maxBatchSize}, ${instances} instance(s), in flight ${inFlight}`;
  return [head, ...versions].join('\n');
}

/** `tile|whole, scale 4, tiles 128/256 margin 18` */
function describeVersion({ plans, tileSizes, margin, scale, fitSize }: VersionContract): string {
  const fit = fitSize ? `, fit ${fitSize.width}x${fitSize.height}` : '';
  const tiles = tileSizes.length > 0 ? `, tiles ${tileSizes.join('/')} margin ${margin}` : '';
  return `${plans.join('|')}, scale ${scale}${tiles}${fit}`;
}
