import { Command } from 'commander';
import { checkCommand } from './models/check.js';
import { listCommand, listModels } from './models/list.js';
import { loadCommand, unloadCommand } from './models/load.js';
import { pushCommand } from './models/push.js';
import { newCommand } from './models/new.js';
import { promoteCommand } from './models/promote.js';
import { reloadCommand } from './models/reload.js';
import { rollbackCommand } from './models/rollback.js';
import { showCommand } from './models/show.js';
import { type Invocation, withHelp } from './usage.js';

export function modelsCommand(invocation: Invocation): Command {
  const command = new Command('models')
    .option('--json', 'print one JSON document')
    .action(async ({ json = false }: { readonly json?: boolean }) => {
      await listModels(invocation, json);
    })
    .addCommand(listCommand(invocation))
    .addCommand(showCommand(invocation))
    .addCommand(newCommand())
    .addCommand(checkCommand(invocation))
    .addCommand(pushCommand(invocation))
    .addCommand(loadCommand(invocation))
    .addCommand(unloadCommand(invocation))
    .addCommand(reloadCommand(invocation))
    .addCommand(promoteCommand(invocation))
    .addCommand(rollbackCommand(invocation));
  return withHelp(
    command,
    ['models', 'models --json', 'models show upscale', 'models push upscale/ --repository /models'],
    {
      1: 'Triton does not answer, or serves no model that the worker can use',
    },
  );
}
