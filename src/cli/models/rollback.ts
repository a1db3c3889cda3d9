import { Command } from 'commander';
import type { RoutesEntry } from '../../domain/routes.js';
import { agreesOn, entryOf, withEntryOf } from '../../domain/routes-edit.js';
import { editRoutes, type EditFlags, withEditOptions } from '../routes/edit.js';
import { beforeLastChange } from '../routes/history.js';
import { CommandFailed, type Invocation, withHelp } from '../usage.js';

export function rollbackCommand(invocation: Invocation): Command {
  const command = withEditOptions(
    new Command('rollback')
      .description("undo the last change of a model's routes; those of other models stay")
      .argument('<model>', 'its name'),
  ).action(async (model: string, _: unknown, command: Command) => {
    await editRoutes(invocation, command.optsWithGlobals<EditFlags>(), {
      async make(current, open, generation) {
        const found = await beforeLastChange(open, generation, (former) => agreesOn(former, current, model));
        if (found) return { ...withEntryOf(current, found.document, model), from: found.id };
        throw new CommandFailed(`${open.place}: the history has no other routes of ${model}`);
      },
      demand: 'one replica',
      done: (made) => `${inWords(model, entryOf(made, model))} again, as in the former routes ${made.from ?? ''}`,
    });
  });
  return withHelp(command, ['models rollback upscale', 'models rollback upscale --dry-run'], {
    1: 'nothing was written: there is nothing to go back to, or the routes have changed meanwhile',
  });
}

function inWords(model: string, entry: RoutesEntry | undefined): string {
  if (!entry) return `${model}: the routes do not name it`;
  const { default: version, experiment } = entry;
  return `${model}: version ${version} is the default${experiment ? `, with experiment ${experiment.name}` : ''}`;
}
