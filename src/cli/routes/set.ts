import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { Command } from 'commander';
import { parseRoutesDocument } from '../../domain/routes.js';
import { type Invocation, UsageError, withHelp } from '../usage.js';
import { editRoutes, type EditFlags, type Models, withEditOptions } from './edit.js';

export function setCommand(invocation: Invocation): Command {
  const command = withEditOptions(
    new Command('set')
      .description('write the routes, if nobody else has written them meanwhile; the former ones go into the history')
      .argument('<file>', 'the new routes; - for standard input'),
  ).action(async (file: string, flags: EditFlags) => {
    const document = await readNew(file);
    await editRoutes(invocation, flags, {
      make: () => ({ models: document.models }),
      mendsBroken: true,
      demand: 'one replica',
      done: () => 'the routes were written',
    });
  });
  return withHelp(
    command,
    [
      'routes set routes.json --dry-run',
      'routes set routes.json --note "x4plus for 5 in 100"',
      'routes set - < routes.json',
    ],
    { 1: 'nothing was written: the routes have changed meanwhile, or Triton does not serve a version' },
  );
}

/** @throws UsageError that names each wrong field */
async function readNew(file: string): Promise<Models> {
  let text: string;
  try {
    text = file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8');
  } catch (thrown) {
    throw new UsageError(`${file}: expected a file of routes: ${(thrown as Error).message}`);
  }
  try {
    return parseRoutesDocument(text);
  } catch (thrown) {
    throw new UsageError(`${file}: expected routes: ${(thrown as Error).message}`);
  }
}
