import { Command } from 'commander';
import { historyCommand, restoreCommand } from './routes/history.js';
import { setCommand } from './routes/set.js';
import { showCommand } from './routes/show.js';
import { type Invocation, withHelp } from './usage.js';

export function routesCommand(invocation: Invocation): Command {
  const command = new Command('routes')
    .addCommand(showCommand(invocation))
    .addCommand(setCommand(invocation))
    .addCommand(historyCommand(invocation))
    .addCommand(restoreCommand(invocation));
  return withHelp(command, ['routes show', 'routes set routes.json --dry-run', 'routes history'], {
    1: 'storage does not answer, or the routes were not written',
  });
}
