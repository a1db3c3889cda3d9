import { Command } from 'commander';
import { RENDER_OPTIONS } from './operations.js';
import { areMany } from './pictures/items.js';
import { type ProcessFlags, processMany } from './process/many.js';
import { processOne } from './process/one.js';
import { INTERRUPTED, type Invocation, withHelp } from './usage.js';

export function processCommand(invocation: Invocation): Command {
  const command = new Command('process').argument('<pictures...>', 'a file, a folder, or a quoted glob');
  for (const option of RENDER_OPTIONS) command.addOption(option);
  command
    .option(
      '-o, --output <file>',
      'a single picture: where the result goes; the name says the format; - is standard output',
    )
    .option('--out <folder>', 'several pictures: save the results here, in the same folders as the pictures')
    .option('--report <file>', 'several pictures: write the outcome of each to a .json or .csv file')
    .option('--json', 'print one JSON document')
    .action(async (pictures: string[], flags: ProcessFlags) => {
      const [first = ''] = pictures;
      invocation.exitCode =
        areMany(pictures) || flags.out !== undefined || flags.report !== undefined
          ? await processMany(pictures, flags, invocation.env)
          : await processOne(first, flags, invocation.env);
    });
  return withHelp(
    command,
    [
      'process photo.jpg -p enhance -o enhanced.png',
      'process photo.jpg -p background_remove -o - > cut-out.png',
      'process photos/ -p enhance --format webp --out enhanced/',
    ],
    { 1: 'a picture could not be processed, or Triton is away', [INTERRUPTED]: 'interrupted' },
  );
}
