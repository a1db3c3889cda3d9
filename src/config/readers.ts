/** Readers for the types of values that variables have. */
import { tenantSchema } from '../domain/job.js';
import { parseObjectUri, parsePrefix } from '../domain/uri.js';
import { expected, type Reader } from './setting.js';

/** The items of a list, trimmed; empty ones are left out. */
export const commaSeparated = (value: string): string[] =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** Reads a text that is not empty. @param what completes the message "expected …" */
export const text =
  (what: string): Reader<string> =>
  (value) =>
    value === '' ? expected(what) : value;
export const word: Reader<string> = (value) =>
  /^[A-Za-z0-9][\w.~+%-]*$/.test(value) ? value : expected('a resource name');
export const prefix: Reader<string> = (value) =>
  typeof parsePrefix(value) === 'string' ? expected('gs://<bucket>/<prefix>') : value;
export const prefixes: Reader<readonly string[]> = (value) => {
  const items = commaSeparated(value);
  return items.every((item) => typeof parsePrefix(item) !== 'string')
    ? items
    : expected('gs:// prefixes, separated by commas');
};
export const pathOrObject: Reader<string> = (value) => {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(value)?.[0];
  const wrong = scheme === undefined ? value === '' : scheme !== 'gs://' || typeof parseObjectUri(value) === 'string';
  return wrong ? expected('a path, or gs://<bucket>/<object>') : value;
};
/** @param most largest number of labels */
export const tenants =
  (most: number): Reader<readonly string[]> =>
  (value) => {
    const items = commaSeparated(value);
    return items.length <= most && items.every((item) => tenantSchema.safeParse(item).success)
      ? items
      : expected(`at most ${most} labels of tenants, separated by commas`);
  };
export const wholeNumber =
  (minimum: number, maximum: number): Reader<number> =>
  (value) => {
    const number = /^[0-9]+$/.test(value) ? Number(value) : NaN;
    return number >= minimum && number <= maximum ? number : expected(`a whole number from ${minimum} to ${maximum}`);
  };
export const oneOf =
  <T extends string>(...choices: readonly T[]): Reader<T> =>
  (value) =>
    choices.find((choice) => choice === value) ?? expected(`one of ${choices.join(', ')}`);
export const ratio: Reader<number> = (value) => {
  const number = /^[0-9]*\.?[0-9]+$/.test(value) ? Number(value) : NaN;
  return number >= 0 && number <= 1 ? number : expected('a number from 0 to 1');
};
export const yesOrNo: Reader<boolean> = (value) =>
  ({ true: true, false: false })[value.toLowerCase()] ?? expected('true or false');
export const httpUrl: Reader<string> = (value) =>
  /^https?:\/\//.test(value) && URL.canParse(value) ? value : expected('an address such as http://host:4318');
export const httpAddress: Reader<string> = (value) => {
  const url = /^https?:\/\//.test(value) ? value : `http://${value}`;
  return URL.canParse(url) ? url.replace(/\/+$/, '') : expected('host:port or http://host:port');
};
const canBeDecoded = (value: string) => {
  try {
    decodeURIComponent(value);
    return true;
  } catch {
    return false;
  }
};
/**
 * Reads "key=value,key=value" with percent-encoding, the format of OpenTelemetry. Error messages do not show the given
 * text, because headers contain credentials.
 */
const pairs =
  (pair: RegExp): Reader<string> =>
  (value) =>
    commaSeparated(value).every((item) => pair.test(item) && canBeDecoded(item))
      ? value
      : expected('key=value pairs, separated by commas and percent-encoded', 'something else');
export const headers = pairs(/^[\w!#$%&'*+.^`|~-]+\s*=\s*[^\s;][^;]*$/);
export const attributes = pairs(/^[^\s=][^=]{0,254}=[^=]{0,255}$/);

export interface WeightedSubscription {
  readonly name: string;
  readonly weight?: number;
}
export const subscriptions: Reader<readonly WeightedSubscription[]> = (value) => {
  const parsed = commaSeparated(value).map((item) => /^([A-Za-z][\w.~+%-]*)(?:=([1-9][0-9]{0,3}))?$/.exec(item));
  if (new Set(parsed.map((match) => match?.[1])).size < parsed.filter(Boolean).length) {
    return expected('each subscription once');
  }
  return parsed.length > 0 && parsed.every((match) => match !== null)
    ? parsed.map(([, name = '', weight]) => ({ name, ...(weight === undefined ? {} : { weight: Number(weight) }) }))
    : expected('subscription names with optional weights, such as "jobs-interactive=3,jobs-batch"');
};
