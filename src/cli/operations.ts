import { Option } from 'commander';
import { ClientError } from '../client/errors.js';
import { JobError } from '../domain/errors.js';
import { type Job, type JobMessage, OUTPUT_FORMATS, parseJob, type ParameterValue } from '../domain/job.js';
import { FORMATS } from '../pipeline/formats/index.js';
import { UsageError } from './usage.js';

/** Options that `submit` and `process` share: the operations, and how to write the result. */
export interface RenderFlags {
  readonly operation: string[];
  readonly param?: string[];
  readonly format?: (typeof OUTPUT_FORMATS)[number];
  readonly quality?: string;
  readonly background?: string;
  readonly maskOnly?: boolean;
  readonly maxWidth?: string;
  readonly maxHeight?: string;
  readonly keepMetadata?: boolean;
  readonly keepHidden?: boolean;
}

/** Maps fields of the job to the flags that set them, so that a message about a field names its flag. */
const FLAGS: readonly (readonly [field: RegExp, flag: string])[] = [
  [/^operations\.\d+\.parameters.*$/, '--param'],
  [/^operations.*$/, '--operation'],
  [/^jobId$/, '--job-id'],
  [/^redriveOf$/, '--redrive-of'],
  [/^group\.id$/, '--group'],
  [/^group\.total$/, '--group-total'],
  [/^output\.uri$/, '--output-uri'],
  [/^output\.prefix$/, '--output-prefix'],
  [/^output$/, '--output-uri and --output-prefix'],
  [/^timeoutSeconds$/, '--timeout'],
  [/^output\.(\w+)$/, '--$1'],
  [/^(deadline|priority|experimentKey|metadata|tenant)\b.*$/, '--$1'],
];

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];

/** May be repeated. */
export function operationOption(description: string): Option {
  return new Option('-p, --operation <names>', description).argParser((value: string, before: string[] | undefined) => [
    ...(before ?? []),
    ...value.split(','),
  ]);
}

export const RENDER_OPTIONS = [
  operationOption('operations in order: NAME or NAME@VERSION, separated by commas').makeOptionMandatory(),
  new Option(
    '--param <[operation.]name=value>',
    'a parameter of an operation, whose name may be left out if there is only one (may be repeated)',
  ).argParser(collect),
  new Option('--format <format>', 'format of the result').choices(OUTPUT_FORMATS),
  new Option('--quality <1-100>', 'quality of JPEG, WebP and AVIF'),
  new Option('--background <#rrggbb>', 'colour behind transparency, for JPEG'),
  new Option('--mask-only', 'the mask itself instead of the cut-out'),
  new Option('--max-width <pixels>', 'shrink the result to this width'),
  new Option('--max-height <pixels>', 'shrink the result to this height'),
  new Option('--keep-metadata', "keep the input's EXIF, XMP and IPTC"),
  new Option('--keep-hidden', 'keep the colours beneath wholly transparent pixels'),
];

/** @throws UsageError */
export function operationsOf({
  operation,
  param = [],
}: Pick<RenderFlags, 'operation' | 'param'>): JobMessage['operations'] {
  const names = operation.map((name) => name.trim().split('@'));
  const parameters = names.map((): Record<string, ParameterValue> => ({}));
  const models = names.map(([model = '']) => model);
  for (const text of param) {
    const { at, name, value } = parameterOf(text, models);
    const own = parameters[at];
    if (!own || Object.hasOwn(own, name)) throw new UsageError(`--param: ${name} is given twice`);
    own[name] = value;
  }
  return names.map(([model = '', version], i) => {
    const own = parameters[i] ?? {};
    if (version === undefined && Object.keys(own).length === 0) return model;
    return {
      model,
      ...(version === undefined ? {} : { version }),
      ...(Object.keys(own).length === 0 ? {} : { parameters: own }),
    };
  });
}

function parameterOf(text: string, models: readonly string[]) {
  const [, key = '', value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key === '') throw new UsageError(`--param: expected NAME=VALUE or OPERATION.NAME=VALUE, given ${text}`);
  const owners = models.filter((model) => key.startsWith(`${model}.`));
  const [owner] = owners.sort((a, b) => b.length - a.length);
  if (owner === undefined && models.length > 1) {
    const examples = models.map((model) => `${model}.${key}`).join(' or ');
    throw new UsageError(`--param ${key}: expected the operation's name before it: ${examples}`);
  }
  const name = owner === undefined ? key : key.slice(owner.length + 1);
  return { at: owner === undefined ? 0 : models.indexOf(owner), name, value: scalar(value) };
}

/** A number, true or false if the text is one. Any other text is itself. */
function scalar(text: string): ParameterValue {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : text;
}

/** @throws UsageError */
export function outputOf(flags: RenderFlags): NonNullable<JobMessage['output']> {
  const all = {
    format: flags.format,
    quality: numberOf(flags.quality),
    background: flags.background,
    maskOnly: flags.maskOnly,
    maxWidth: numberOf(flags.maxWidth),
    maxHeight: numberOf(flags.maxHeight),
    keepMetadata: flags.keepMetadata,
    keepHidden: flags.keepHidden,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** A text that is no number stays one: then the parser says that a number was expected. */
export function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = text.trim() === '' ? NaN : Number(text);
  return Number.isNaN(number) ? (text as unknown as number) : number;
}

/** @throws UsageError for a quality where the format has none */
export function checkQuality({ format, quality }: NonNullable<JobMessage['output']>): void {
  if (format === undefined || quality === undefined || !FORMATS[format].lossless) return;
  throw new UsageError(`--quality: expected JPEG, WebP or AVIF, because ${format} has no quality`);
}

/** Checks a message with the worker's parser, before anything is uploaded. @throws UsageError that names flags */
export function checkedJob(message: JobMessage): Job {
  try {
    return parseJob(Buffer.from(JSON.stringify(message)));
  } catch (error) {
    throw asUsage(error);
  }
}

/** Codes of what the caller can put right: the exit code is 2. */
const WRONG_CALLS = ['INVALID_MESSAGE', 'INPUT_UNREADABLE', 'INPUT_EMPTY', 'INPUT_TOO_LARGE', 'UNSUPPORTED_FORMAT'];

/** The error of a wrong call, with the fields' names as flags. Any other error is returned as it is. */
export function asUsage(error: unknown): unknown {
  if (!(error instanceof JobError || error instanceof ClientError) || !WRONG_CALLS.includes(error.code)) return error;
  return new UsageError(inFlags(error.message), { cause: error });
}

export function inFlags(message: string): string {
  return message.replace(/(^|; )([A-Za-z]\w*(?:\.\w+)*): /g, (_all, before: string, field: string) => {
    const rule = FLAGS.find(([pattern]) => pattern.test(field));
    const flag = rule ? field.replace(rule[0], rule[1]) : field;
    return `${before}${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}: `;
  });
}

/** `upscale@2 → enhance`, as the command line takes them. */
export function describeOperations({ operations }: Job): string {
  return operations.map(({ model, version }) => (version === undefined ? model : `${model}@${version}`)).join(' → ');
}
