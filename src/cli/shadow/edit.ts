import { Command, Option } from 'commander';
import { type Refusal, shadowed, unshadowed } from '../../domain/routes-edit.js';
import { between, versionOf } from '../models/promote.js';
import { editRoutes, type EditFlags, type Models, withEditOptions } from '../routes/edit.js';
import { CommandFailed, type Invocation, withHelp } from '../usage.js';

interface StartFlags extends EditFlags {
  readonly share: number;
}

export function startCommand(invocation: Invocation): Command {
  const command = withEditOptions(
    new Command('start')
      .description("let a version repeat a share of the model's jobs; writes this into the routes")
      .argument('<model>', 'its name')
      .argument('<version>', 'number of the version', versionOf)
      .addOption(
        new Option('--share <percent>', 'of the jobs that are done once more')
          .argParser(between('a number of at least 0.001 and at most 100', (value) => value >= 0.001 && value <= 100))
          .makeOptionMandatory(),
      ),
  ).action((model: string, version: string, flags: StartFlags) =>
    editRoutes(invocation, flags, {
      make: (current) => made(shadowed(current, model, version, flags.share)),
      demand: 'every replica',
      done: () => `version ${version} does ${flags.share} % of the jobs of ${model} once more`,
    }),
  );
  return withHelp(
    command,
    ['shadow start upscale 2 --share 5', 'shadow start upscale 2 --share 20 --note "before the canary" --dry-run'],
    { 1: 'nothing was written: a replica of Triton does not serve it, or the routes have changed meanwhile' },
  );
}

export function stopCommand(invocation: Invocation): Command {
  const command = withEditOptions(
    new Command('stop').description("end the model's shadow in the routes").argument('<model>', 'its name'),
  ).action((model: string, flags: EditFlags) =>
    editRoutes(invocation, flags, {
      make: (current) => made(unshadowed(current, model)),
      demand: 'one replica',
      done: () => `${model} has no shadow any more`,
    }),
  );
  return withHelp(command, ['shadow stop upscale', 'shadow stop upscale --note "compared 2,000" --json'], {
    1: 'nothing was written: it has no shadow, or the routes have changed meanwhile',
  });
}

/** @throws CommandFailed */
function made(next: Models | Refusal): Models {
  if ('refused' in next) throw new CommandFailed(next.refused);
  return next;
}
