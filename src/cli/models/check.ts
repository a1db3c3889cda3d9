import { Command } from 'commander';
import { readConfig } from '../../config/index.js';
import { print, printJson, say } from '../output.js';
import { type Invocation, untilInterrupted, withHelp } from '../usage.js';
import { readModelDirectory } from './directory.js';
import { describeFault, examineDirectory } from './rules.js';
import { tryOut, type TriedOut } from './try-out.js';

interface Flags {
  readonly triton?: boolean;
  readonly json?: boolean;
}

export function checkCommand(invocation: Invocation): Command {
  const command = new Command('check')
    .description("check a model's directory against the contract and Triton's schema; needs no server")
    .argument('<folder>', 'directory of one model, with config.pbtxt and a folder for each version')
    .option('--triton', 'also run each version that the Triton at TRITON_URL serves, and measure its seams')
    .option('--json', 'print one JSON document')
    .action(async (folder: string, _: unknown, command: Command) => {
      const { triton, json } = command.optsWithGlobals<Flags>();
      const { tritonUrl } = triton ? readConfig(invocation.env, ['tritonUrl']) : { tritonUrl: undefined };
      const directory = await readModelDirectory(folder);
      const { faults: found, contract } = examineDirectory(directory);
      const onTriton =
        tritonUrl !== undefined && contract ? await tryOut(tritonUrl, contract, untilInterrupted()) : undefined;
      const faults = [...found, ...(onTriton?.faults ?? [])];
      const versions = [...directory.versions.keys()];
      if (json) printJson({ model: directory.model, versions, faults, ...(onTriton ? { triton: onTriton } : {}) });
      else {
        for (const fault of faults) print(`${directory.model}/${describeFault(fault)}`);
        if (onTriton) tellTried(directory.model, onTriton);
        say(`${directory.model}: versions ${versions.join(', ') || 'none'}: ${faults.length} faults`);
      }
      if (faults.length > 0) invocation.exitCode = 1;
    });
  return withHelp(command, ['models check models/upscale', 'models check models/upscale --triton --json'], {
    1: 'there are faults, or Triton does not answer',
  });
}

function tellTried(model: string, { tried, notServed }: TriedOut): void {
  for (const { version, plans, seam } of tried) {
    if (plans.length === 0) continue; // its faults are told
    const levels = seam === undefined ? '' : `, tiled and whole differ by ${seam} levels`;
    print(`${model}/${version}: answers as the contract says (${plans.join(', ')})${levels}`);
  }
  for (const version of notServed) print(`${model}/${version}: not tried, because this Triton does not serve it`);
}
