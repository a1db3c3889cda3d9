import { Argument, Command } from 'commander';
import { JSON_SCHEMAS } from '../domain/json-schemas.js';
import { printJson } from './output.js';
import { withHelp } from './usage.js';

export function schemaCommand(): Command {
  const command = new Command('schema')
    .addArgument(new Argument('<message>').choices(Object.keys(JSON_SCHEMAS)))
    .action((message: keyof typeof JSON_SCHEMAS) => {
      printJson(JSON_SCHEMAS[message]());
    });
  return withHelp(command, ['schema job', 'schema completion > completion.json'], {});
}
