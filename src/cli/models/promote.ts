import { Command, InvalidArgumentError, Option } from 'commander';
import { promoted, shared } from '../../domain/routes-edit.js';
import { wholeNumber } from '../job-filter.js';
import { editRoutes, type EditFlags, withEditOptions } from '../routes/edit.js';
import { CommandFailed, type Invocation, UsageError, withHelp } from '../usage.js';

interface Flags extends EditFlags {
  readonly share?: number;
  readonly maxFailureRatio?: number;
  readonly minOperations?: number;
  readonly windowSeconds?: number;
  readonly maxSeconds?: number;
  readonly maxLatencyRatio?: number;
}

/** Creates a parser for a numeric option. @param what completes the message "Expected …" */
export const between = (what: string, fits: (value: number) => boolean) => (text: string) => {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!fits(value)) throw new InvalidArgumentError(`Expected ${what}.`);
  return value;
};

export function promoteCommand(invocation: Invocation): Command {
  const command = withEditOptions(
    new Command('promote')
      .description(
        "make a version the model's default and end its experiment; with --share, give it a part of the jobs",
      )
      .argument('<model>', 'its name')
      .argument('<version>', 'number of the version', versionOf)
      .addOption(
        new Option('--share <percent>', 'of the jobs for this version, the rest for the default one').argParser(
          between('a number of at least 0.001 and at most 99.999', (value) => value >= 0.001 && value <= 99.999),
        ),
      )
      .addOption(
        new Option('--max-failure-ratio <ratio>', 'share of failed operations that stops it (default: 0.1)').argParser(
          between('a number above 0, at most 1', (value) => value > 0 && value <= 1),
        ),
      )
      .addOption(
        new Option('--min-operations <n>', 'operations of one worker before it is stopped (default: 20)').argParser(
          wholeNumber(1, 1_000_000),
        ),
      )
      .addOption(
        new Option('--window-seconds <n>', 'failures that are older do not count (default: 600)').argParser(
          wholeNumber(1, 86_400),
        ),
      )
      .addOption(
        new Option('--max-seconds <n>', 'longest time of one operation at Triton (default: none)').argParser(
          between('a number from 0.1 to 86400', (value) => value >= 0.1 && value <= 86_400),
        ),
      )
      .addOption(
        new Option(
          '--max-latency-ratio <ratio>',
          'times the latency of the default version that stops it (default: none)',
        ).argParser(between('a number from 1.1 to 1000', (value) => value >= 1.1 && value <= 1_000)),
      ),
  ).action(async (model: string, version: string, _: unknown, command: Command) => {
    const flags = command.optsWithGlobals<Flags>();
    const { share } = flags;
    const limits = limitsOf(flags);
    if (share === undefined && Object.keys(limits).length > 0) {
      throw new UsageError(
        '--max-failure-ratio, --min-operations, --window-seconds, --max-seconds, --max-latency-ratio: expected --share beside them',
      );
    }
    await editRoutes(invocation, flags, {
      make(current) {
        if (share === undefined) return promoted(current, model, version);
        const next = shared(current, model, version, share, limits);
        if ('refused' in next) throw new CommandFailed(next.refused);
        return next;
      },
      demand: 'every replica',
      done: () =>
        share === undefined
          ? `version ${version} is the default of ${model}`
          : `version ${version} gets ${share} % of the jobs of ${model}`,
    });
  });
  return withHelp(
    command,
    [
      'models promote upscale 2 --share 5',
      'models promote upscale 2 --note "x4plus for all"',
      'models promote upscale 2 --dry-run',
    ],
    { 1: 'nothing was written: a replica of Triton does not serve it, or the routes have changed meanwhile' },
  );
}

/** Reads the number of a version. */
export function versionOf(text: string): string {
  if (!/^[1-9][0-9]*$/.test(text)) throw new InvalidArgumentError('Expected the number of a version.');
  return text;
}

const limitsOf = ({ maxFailureRatio, minOperations, windowSeconds, maxSeconds, maxLatencyRatio }: Flags) => ({
  ...(maxFailureRatio === undefined ? {} : { maxFailureRatio }),
  ...(minOperations === undefined ? {} : { minOperations }),
  ...(windowSeconds === undefined ? {} : { windowSeconds }),
  ...(maxSeconds === undefined ? {} : { maxSeconds }),
  ...(maxLatencyRatio === undefined ? {} : { maxLatencyRatio }),
});
