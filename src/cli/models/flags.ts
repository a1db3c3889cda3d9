import { InvalidArgumentError, Option } from 'commander';

/** Triton takes no version 0, and ignores folders with leading zeros. */
export const VERSION = (about: string): Option =>
  new Option('--version <n>', about).argParser((text: string) => {
    if (/^[1-9]\d{0,17}$/.test(text)) return text;
    throw new InvalidArgumentError('Expected a version such as 3.');
  });
