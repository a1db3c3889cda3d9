import { Command, InvalidArgumentError, Option } from 'commander';
import { readConfig } from '../config/index.js';
import { commaSeparated } from '../config/readers.js';
import { OUTPUT_FORMATS, type OutputFormat } from '../domain/job.js';
import { MEASURE_SETTINGS, measureAll } from './capacity/measure-all.js';
import { parseSizes } from './capacity/pictures.js';
import { reportText } from './capacity/table.js';
import { printJson, printText, say } from './output.js';
import { CommandFailed, type Invocation, UsageError, withHelp } from './usage.js';

const DEFAULT_SIZES = '640x480,1920x1080';
const DEFAULT_SECONDS = '10';
const MOST_SECONDS = 600;

interface Flags {
  readonly model?: string[];
  readonly version?: string[];
  readonly sizes: string;
  readonly seconds: string;
  readonly format?: OutputFormat;
  readonly gpuPrice?: string;
  readonly json?: boolean;
}

/** Each name once, for each is measured. @throws InvalidArgumentError if there is none */
function names(value: string, before: string[] = []): string[] {
  const given = commaSeparated(value);
  if (given.length === 0) throw new InvalidArgumentError('Expected names, separated by commas.');
  return [...new Set([...before, ...given])];
}

export function capacityCommand(invocation: Invocation): Command {
  const command = new Command('capacity')
    .addOption(new Option('-m, --model <names>', 'models, separated by commas; default: all').argParser(names))
    .addOption(
      new Option('--version <numbers>', 'versions of them, separated by commas; default: all').argParser(names),
    )
    .option('--sizes <sizes>', 'pictures: <width>x<height> or megapixels, separated by commas', DEFAULT_SIZES)
    .option('--seconds <seconds>', 'time for each version and size', DEFAULT_SECONDS)
    .addOption(new Option('--format <format>', 'format of the results').choices(OUTPUT_FORMATS))
    .option('--gpu-price <price>', 'price of a GPU for an hour, with its machine, in any currency')
    .option('--json', 'print one JSON document')
    .action(async (flags: Flags) => {
      const config = readConfig(invocation.env, MEASURE_SETTINGS);
      const asked = {
        ...{ models: flags.model, versions: flags.version, format: flags.format },
        sizes: parseSizes(flags.sizes, config.maxInputPixels),
        seconds: positive('--seconds', flags.seconds, MOST_SECONDS),
        price: flags.gpuPrice === undefined ? undefined : positive('--gpu-price', flags.gpuPrice, Infinity),
      };
      const stop = stopOnSignals();
      try {
        const report = await measureAll(asked, config, stop.signal, (line) => say(line));
        if (flags.json) printJson(report);
        else printText(reportText(report));
        if (!report.complete) invocation.exitCode = 1;
      } finally {
        stop.release();
      }
    });
  return withHelp(
    command,
    ['capacity', 'capacity -m upscale --sizes 640x480,12 --gpu-price 0.35', 'capacity --json > capacity.json'],
    { 1: 'something that was asked for could not be measured' },
  );
}

/** @throws UsageError */
function positive(option: string, text: string, most: number): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;
  if (value > 0 && value <= most) return value;
  const limit = most === Infinity ? '' : `, at most ${most}`;
  throw new UsageError(`${option}: expected a number above 0${limit}, given ${JSON.stringify(text)}`);
}

/** The first signal stops the measurement, and what was measured is shown. The second ends the process at once. */
function stopOnSignals() {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort(new CommandFailed(`stopped by ${name}`));
  };
  const signals = ['SIGTERM', 'SIGINT'] as const;
  for (const name of signals) process.on(name, onSignal);
  return { signal: stop.signal, release: () => signals.forEach((name) => process.off(name, onSignal)) };
}
