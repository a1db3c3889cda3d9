/** `imagen models load` and `imagen models unload`, at every replica of Triton. */
import { Command, Option } from 'commander';
import {
  loadModel,
  type Order,
  type ReplicaFailed,
  type ReplicaState,
  unloadModel,
  versionsAt,
} from '../../adapters/triton/replica-control.js';
import { readConfig } from '../../config/index.js';
import { wholeNumber } from '../job-filter.js';
import { print, printJson, say } from '../output.js';
import { type Invocation, withHelp } from '../usage.js';
import { adminKeyOf } from './admin-key.js';
import { VERSION } from './flags.js';

interface Flags {
  readonly version?: string;
  readonly waitSeconds: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Loading a large network takes minutes. */
const WAIT_SECONDS = 300;
const wait = () =>
  new Option('--wait-seconds <n>', 'how long to wait for all replicas')
    .argParser(wholeNumber(1, 3600))
    .default(WAIT_SECONDS);

export function loadCommand(invocation: Invocation): Command {
  const command = new Command('load')
    .description(
      'load a model, or its new versions, at every replica of Triton; served versions keep serving meanwhile',
    )
    .argument('<name>', 'name of the model')
    .addOption(VERSION('wait for this version; version_policy in config.pbtxt says which ones Triton loads'))
    .addOption(wait())
    .option('--dry-run', 'show which replicas there are and what they serve, and change nothing')
    .option('--json', 'print one JSON document')
    .action(async (model: string, _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<Flags>();
      await act(invocation, model, flags, 'serves', (order, tell) =>
        loadModel({ ...order, version: flags.version }, tell),
      );
    });
  return withHelp(command, ['models load upscale --version 3', 'models load upscale --wait-seconds 600 --json'], {
    1: 'a replica does not answer, or does not serve it in time; the others may',
  });
}

export function unloadCommand(invocation: Invocation): Command {
  const command = new Command('unload')
    .description('unload a model, all its versions, at every replica of Triton; its jobs then wait')
    .argument('<name>', 'name of the model')
    .addOption(wait())
    .option('--dry-run', 'show which replicas there are and what they serve, and change nothing')
    .option('--json', 'print one JSON document')
    .action(async (model: string, _: unknown, command: Command) => {
      await act(invocation, model, command.optsWithGlobals<Flags>(), 'no longer serves', unloadModel);
    });
  return withHelp(command, ['models unload upscale', 'models unload upscale --dry-run'], {
    1: 'a replica does not answer, or still serves it',
  });
}

type Tell = (done: ReplicaState | ReplicaFailed) => void;

async function act(
  invocation: Invocation,
  model: string,
  { waitSeconds, dryRun = false, json = false, version }: Flags,
  outcome: string,
  change: (order: Order, tell: Tell) => Promise<(ReplicaState | ReplicaFailed)[]>,
): Promise<void> {
  const { tritonUrl: url } = readConfig(invocation.env, ['tritonUrl']);
  const key = adminKeyOf(invocation.env);
  const name = version === undefined ? model : `${model} version ${version}`;
  const { signal } = new AbortController();
  const tell: Tell = (done) => {
    if (json) return;
    if ('error' in done) say(`imagen: ${done.replica}: ${name}: ${done.error}`);
    else if (dryRun) print(`${done.replica}: ${model}: serves ${listed(done.versions)}`);
    else print(`${done.replica}: ${outcome} ${name}${outcome === 'serves' ? ` (${listed(done.versions)})` : ''}`);
  };
  const order: Order = { url, model, key, waitMs: waitSeconds * 1000, signal };
  const replicas = dryRun ? await versionsAt(url, model, signal) : await change(order, tell);
  if (dryRun) replicas.forEach(tell);
  if (json) printJson({ model, ...(version === undefined ? {} : { version }), dryRun, replicas });
  if (replicas.some((done) => 'error' in done)) invocation.exitCode = 1;
}

const listed = (versions: readonly string[]): string =>
  versions.length === 0 ? 'none' : `versions ${versions.join(', ')}`;
