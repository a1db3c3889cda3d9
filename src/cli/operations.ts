import { readFileSync } from 'node:fs';
import { Option } from 'commander';
import { JobError } from '../domain/errors.js';
import { type Job, type JobMessage, OUTPUT_FORMATS, parseJob } from '../domain/job.js';
import { UsageError } from './usage.js';

/** Options that `submit` and `process` share: the operations, and how to write the result. */
export interface RenderFlags {
  readonly operation: string[];
  readonly format?: string;
  readonly quality?: string;
  readonly background?: string;
  readonly maskOnly?: boolean;
  readonly maxWidth?: string;
  readonly maxHeight?: string;
  readonly keepMetadata?: boolean;
  readonly keepHidden?: boolean;
}

/** May be repeated. */
export function operationOption(description: string): Option {
  return new Option('-p, --operation <names>', description).argParser((value: string, before: string[] | undefined) => [
    ...(before ?? []),
    ...value.split(','),
  ]);
}

export const RENDER_OPTIONS = [
  operationOption('operations in order: NAME or NAME@VERSION, separated by commas').makeOptionMandatory(),
  new Option('--format <format>', 'format of the result').choices(OUTPUT_FORMATS),
  new Option('--quality <1-100>', 'quality of JPEG, WebP and AVIF'),
  new Option('--background <#rrggbb>', 'colour behind transparency, for JPEG'),
  new Option('--mask-only', 'the mask itself instead of the cut-out'),
  new Option('--max-width <pixels>', 'shrink the result to this width'),
  new Option('--max-height <pixels>', 'shrink the result to this height'),
  new Option('--keep-metadata', "keep the input's EXIF, XMP and IPTC"),
  new Option('--keep-hidden', 'keep the colours beneath wholly transparent pixels'),
];

export function operationsOf({ operation }: Pick<RenderFlags, 'operation'>): JobMessage['operations'] {
  return operation.map((name) => {
    const [model = '', version] = name.trim().split('@');
    return version === undefined ? model : { model, version };
  });
}

export function outputOf(flags: RenderFlags): NonNullable<JobMessage['output']> {
  const number = (value: string | undefined) => (value === undefined ? undefined : Number(value));
  const all = {
    format: flags.format as (typeof OUTPUT_FORMATS)[number] | undefined,
    quality: number(flags.quality),
    background: flags.background,
    maskOnly: flags.maskOnly,
    maxWidth: number(flags.maxWidth),
    maxHeight: number(flags.maxHeight),
    keepMetadata: flags.keepMetadata,
    keepHidden: flags.keepHidden,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Checks a message with the worker's parser, before anything is uploaded. @throws UsageError */
export function checkedJob(message: JobMessage): Job {
  try {
    return parseJob(Buffer.from(JSON.stringify(message)));
  } catch (error) {
    if (error instanceof JobError) throw new UsageError(error.message);
    throw error;
  }
}

/** @throws UsageError */
export function readLocalFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
