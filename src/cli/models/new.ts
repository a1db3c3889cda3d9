import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { makeFolder } from '../../adapters/files/make-folder.js';
import { print, printJson } from '../output.js';
import { CommandFailed, UsageError, withHelp } from '../usage.js';
import { CONFIG_FILE } from './directory.js';
import { CONFIG, MODEL } from './template.js';

/** As a job may name it. */
const NAME = /^\w[\w.-]{0,127}$/;
const VERSION = '1';

export function newCommand(): Command {
  const command = new Command('new')
    .description('write the directory of a small working model, as a start for your own')
    .argument('<name>', 'name of the model, as jobs will name it')
    .option('--into <folder>', 'where its directory is made', '.')
    .option('--json', 'print one JSON document')
    .action(async (name: string, _: unknown, command: Command) => {
      const { into, json } = command.optsWithGlobals<{ into: string; json?: boolean }>();
      if (!NAME.test(name)) {
        throw new UsageError(`expected a name of letters, digits, "_", "-" and ".", given ${JSON.stringify(name)}`);
      }
      const folder = resolve(into, name);
      const files = await writeModel(folder, name);
      if (json) {
        printJson({ model: name, folder, files });
        return;
      }
      print(`${folder}: ${files.join(', ')}`);
      print(`next: imagen models check ${join(into, name)}`);
    });
  return withHelp(command, ['models new sharpen', 'models new sharpen --into models.local'], {
    1: 'there is such a folder already, or it cannot be written',
  });
}

/** Creates files only in a new folder. @throws CommandFailed */
async function writeModel(folder: string, name: string): Promise<string[]> {
  const files = { [CONFIG_FILE]: CONFIG(name), [join(VERSION, 'model.py')]: MODEL };
  try {
    makeFolder(resolve(folder, '..'));
    await mkdir(folder);
    await mkdir(join(folder, VERSION));
    for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new CommandFailed(`${folder}: expected a folder that is not there yet`);
    throw new CommandFailed(`${folder}: ${message}`);
  }
  return Object.keys(files);
}
