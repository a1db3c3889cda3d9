import { Command } from 'commander';
import { versionsAt } from '../../adapters/triton/replica-control.js';
import { readConfig } from '../../config/index.js';
import { print, printJson, say } from '../output.js';
import { CommandFailed, type Invocation, UsageError, withHelp } from '../usage.js';
import { type ModelDirectory, readModelDirectory } from './directory.js';
import { VERSION } from './flags.js';
import { manifestOf } from './manifest.js';
import { type Outcome, type Parcel, refusal, type Repository } from './push-rules.js';
import { openRepository } from './repository.js';
import { describeFault, examineDirectory, type Fault } from './rules.js';

interface Flags {
  readonly repository: string;
  readonly version?: string;
  readonly note?: string;
  readonly triton?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Longest note, in characters. */
const MOST_NOTE = 200;

export function pushCommand(invocation: Invocation): Command {
  const command = new Command('push')
    .description(
      'put one version of a model into the repository that Triton reads; no server sees an incomplete version',
    )
    .argument('<folder>', 'directory of one model, with config.pbtxt and a folder for each version')
    .requiredOption('--repository <place>', 'a folder, such as a mounted volume, or gs://<bucket>/<prefix>')
    .addOption(VERSION('which version to push, where the folder has several'))
    .option('--note <text>', 'kept in the manifest of the version')
    .option('--triton', 'refuse a version that the Triton at TRITON_URL serves, unless it is the same')
    .option('--dry-run', 'check everything, show what would change, and change nothing')
    .option('--json', 'print one JSON document')
    .action(async (folder: string, _: unknown, command: Command) => {
      invocation.exitCode = await push(invocation, folder, command.optsWithGlobals<Flags>());
    });
  return withHelp(
    command,
    [
      'models push models/upscale --repository /models --version 3 --note "trained on prints"',
      'models push models/upscale --repository gs://models/triton --version 3 --dry-run',
    ],
    {
      1: 'refused: faults, other contents, a version that is served, another push; or the repository cannot be written',
    },
  );
}

/** @returns the exit code */
async function push(invocation: Invocation, folder: string, flags: Flags): Promise<number> {
  const { dryRun = false, json = false, note } = flags;
  if (note !== undefined && note.length > MOST_NOTE)
    throw new UsageError(`--note: expected at most ${MOST_NOTE} letters`);
  const { env } = invocation;
  const { tritonUrl } = flags.triton ? readConfig(env, ['tritonUrl']) : { tritonUrl: undefined };
  const whole = await readModelDirectory(folder);
  const version = versionIn(whole, flags.version);
  const files = whole.versions.get(version) ?? [];
  const directory = { ...whole, versions: new Map([[version, files]]) };
  const { storageEmulator } = readConfig(env, ['storageEmulator']);
  const repository = await openRepository(flags.repository, storageEmulator);
  const { faults } = examineDirectory(directory);
  const { model, config = '', shared } = directory;
  if (faults.length > 0) return tellFaults(model, version, faults, json);
  const manifest = await manifestOf({ model, version, config }, files, note);
  const parcel: Parcel = { model, version, config, files, shared, manifest };
  const outcome = await put(repository, parcel, tritonUrl, dryRun);
  if (json) printJson({ model, version, repository: flags.repository, dryRun, ...outcome, manifest });
  if (outcome.outcome === 'refused') {
    say(`imagen: ${model}/${version} is not pushed: ${outcome.reason}`);
    return 1;
  }
  if (!json) print(`${flags.repository}: ${inWords(outcome, `${model}/${version}`, dryRun)}`);
  return 0;
}

/** @throws UsageError */
function versionIn({ model, versions }: ModelDirectory, wanted: string | undefined): string {
  const there = [...versions.keys()];
  const [only] = there;
  if (wanted !== undefined && there.includes(wanted)) return wanted;
  if (wanted === undefined && only !== undefined && there.length === 1) return only;
  throw new UsageError(
    `--version: expected one of ${there.join(', ') || 'none'}, which ${model} has; given ${wanted ?? 'none'}`,
  );
}

function tellFaults(model: string, version: string, faults: readonly Fault[], json: boolean): number {
  if (json) printJson({ model, version, outcome: 'refused', reason: `${faults.length} faults`, faults });
  for (const fault of faults) say(`imagen: ${model}/${describeFault(fault)}`);
  return 1;
}

async function put(
  repository: Repository,
  parcel: Parcel,
  tritonUrl: string | undefined,
  dryRun: boolean,
): Promise<Outcome> {
  const { model, version } = parcel;
  if (tritonUrl !== undefined) {
    const replicas = await versionsAt(tritonUrl, model, new AbortController().signal);
    for (const state of replicas) {
      if ('error' in state) throw new CommandFailed(`Triton at ${state.replica} does not answer: ${state.error}`);
    }
    const serving = replicas.filter((state) => 'versions' in state && state.versions.includes(version));
    const planned = serving.length > 0 ? await repository.push(parcel, true) : undefined;
    if (planned?.outcome === 'pushed') {
      const where = serving.map(({ replica }) => replica).join(', ');
      return refusal(`version ${version} is served by ${where}, and versions never change: expected another --version`);
    }
  }
  return repository.push(parcel, dryRun);
}

function inWords(outcome: Exclude<Outcome, { outcome: 'refused' }>, name: string, dryRun: boolean): string {
  const { outcome: what, configuration } = outcome;
  const config = configuration === 'as it was' ? '' : `, config.pbtxt ${dryRun ? 'would be ' : ''}${configuration}`;
  if (what === 'already there') return `${name} is already there${config}`;
  return dryRun ? `${name} would be pushed${config}` : `${name} is pushed${config}`;
}
