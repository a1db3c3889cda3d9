import { Command } from 'commander';
import { versionsAt } from '../../adapters/triton/replica-control.js';
import { readConfig } from '../../config/index.js';
import { print, printJson, printText } from '../output.js';
import { reachTriton } from '../reach.js';
import { CommandFailed, type Invocation, withHelp } from '../usage.js';
import { withTriton } from '../with-triton.js';
import { describe } from './list.js';
import type { StoredVersion } from './push-rules.js';
import { openRepository } from './repository.js';

interface Flags {
  readonly repository?: string;
  readonly json?: boolean;
}

export function showCommand(invocation: Invocation): Command {
  const command = new Command('show')
    .description('show the contract of each version, what is ready at which replica, and what a repository has')
    .argument('<name>', 'name of the model')
    .option(
      '--repository <place>',
      'also list the versions in this folder or gs://<bucket>/<prefix>, with their manifests',
    )
    .option('--json', 'print one JSON document')
    .action(async (model: string, _: unknown, command: Command) => {
      await show(invocation, model, command.optsWithGlobals<Flags>());
    });
  return withHelp(command, ['models show upscale', 'models show upscale --repository gs://models/triton --json'], {
    1: 'Triton does not answer, or neither it nor the repository knows the model',
  });
}

async function show(invocation: Invocation, model: string, { repository: place, json }: Flags): Promise<void> {
  const { tritonUrl, storageEmulator } = readConfig(invocation.env, ['tritonUrl', 'storageEmulator']);
  const stored = place === undefined ? undefined : await (await openRepository(place, storageEmulator)).versions(model);
  const { contract, unready } = await withTriton({ url: tritonUrl }, async (server) => {
    await reachTriton(server, tritonUrl);
    const mine = [...server.unready()].filter(([name]) => name === model || name.startsWith(`${model}/`));
    return { contract: server.contracts().get(model), unready: Object.fromEntries(mine) };
  });
  const isKnown = contract !== undefined || Object.keys(unready).length > 0 || (stored?.length ?? 0) > 0;
  if (!isKnown)
    throw new CommandFailed(`model ${model}: neither Triton nor a repository has it: see \`imagen models\``);
  const replicas = await versionsAt(tritonUrl, model, new AbortController().signal);
  if (json) {
    const shown = contract && { ...contract, versions: Object.fromEntries(contract.versions) };
    printJson({ model, contract: shown, unready, replicas, ...(stored ? { repository: stored } : {}) });
    return;
  }
  if (contract) printText(describe(contract));
  for (const [name, reason] of Object.entries(unready)) print(`${name}: not ready: ${reason}`);
  for (const state of replicas) {
    print(`${state.replica}: ${'error' in state ? state.error : `ready: ${state.versions.join(', ') || 'none'}`}`);
  }
  for (const version of stored ?? []) print(`${place ?? ''}: ${describeStored(version)}`);
}

function describeStored({ version, manifest }: StoredVersion): string {
  if (!manifest) return `version ${version}, without a manifest`;
  const { pushedBy, pushedAt, note, files } = manifest;
  const said = note === undefined ? '' : `: ${note}`;
  return `version ${version}, ${Object.keys(files).length} files, pushed by ${pushedBy} at ${pushedAt}${said}`;
}
