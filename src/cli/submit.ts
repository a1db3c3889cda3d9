import { Command, Option } from 'commander';
import { PRIORITIES } from '../domain/job.js';
import { RENDER_OPTIONS } from './operations.js';
import type { Flags } from './submit/flags.js';
import { areMany } from './pictures/items.js';
import { submitMany } from './submit/many.js';
import { submitOne } from './submit/one.js';
import { INTERRUPTED, type Invocation, UsageError, withHelp } from './usage.js';

export function submitCommand(invocation: Invocation): Command {
  const command = new Command('submit').argument(
    '<pictures...>',
    'a file, gs://bucket/object, a folder, a quoted glob, or a manifest (.jsonl, .csv)',
  );
  for (const option of RENDER_OPTIONS) command.addOption(option);
  command
    .option('--job-id <id>', 'the idempotency key; the default is made of the file name and a random part')
    .option('--redrive-of <id>', 'the job that this one repeats; the default id is <id>~r1')
    .option('--group <label>', 'label of the jobs that belong together')
    .option('--group-total <number>', 'number of jobs in the group, if it is known')
    .option('--tenant <label>', 'tenant of the job: tenants take turns, however many jobs each of them has')
    .option('--output-uri <gs://…>', 'exact address of the result')
    .option('--output-prefix <gs://…>', 'prefix of the result')
    .option('--experiment-key <key>', 'key of the job for experiments: the same key gets the same arm')
    .addOption(
      new Option('--priority <priority>', 'urgency of the job; default: interactive, or batch for several').choices(
        PRIORITIES,
      ),
    )
    .option('--deadline <time>', 'absolute, such as 2026-12-01T12:00:00Z')
    .option('--timeout <seconds>', 'time limit of one attempt')
    .option('--metadata <json>', 'object that the completion repeats')
    .option('--republish', 'publish even if the job was submitted before and has not ended')
    .option('--wait', 'wait for the outcome; exit 1 unless it succeeded (several pictures: the default)')
    .option('--no-wait', 'only publish')
    .option(
      '--wait-seconds <seconds>',
      'how long to wait in all; default: 600 for a single picture, no limit for several',
    )
    .option('-o, --download <file>', 'with --wait: save the result of a single picture here; - is standard output')
    .option('--out <folder>', 'several pictures: save the results here, in the same folders as the pictures')
    .option('--report <file>', 'several pictures: write the outcome of each to a .json or .csv file')
    .option('--json', 'print the outcome, or without --wait the job, as JSON on standard output')
    .action(async (pictures: string[], flags: Flags) => {
      if (given.has('no-wait') && flags.waitSeconds !== undefined) {
        throw new UsageError('--wait-seconds: expected no --no-wait, which waits for nothing');
      }
      if (given.size > 1) throw new UsageError('--wait and --no-wait: expected one of them, given both');
      const [first = ''] = pictures;
      invocation.exitCode =
        areMany(pictures) || flags.out !== undefined || flags.report !== undefined
          ? await submitMany(pictures, flags, invocation.env)
          : await submitOne(first, flags, invocation.env);
    });
  const given = new Set<string>();
  for (const name of ['wait', 'no-wait']) command.on(`option:${name}`, () => given.add(name));
  return withHelp(
    command,
    [
      'submit photo.jpg -p background_remove --wait -o cut-out.png',
      'submit photos/ -p enhance --format webp --out enhanced/',
      "submit 'photos/**/*.jpg' -p style_comic@1 --param ink=0.5 --report report.csv",
      'submit jobs.jsonl -p enhance --out results/',
    ],
    {
      1: 'a job did not succeed, or Pub/Sub or storage is away',
      [INTERRUPTED]: 'interrupted: run the same command again, and it goes on where it stopped',
    },
  );
}
