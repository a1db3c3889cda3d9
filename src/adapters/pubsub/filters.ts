/** Filters that divide the messages of one topic among several subscriptions. */
import { PRIORITIES } from '../../domain/job.js';

export interface Share {
  /** Suffix of the subscription's name. */
  readonly suffix: string;
  readonly filter: string;
}

/** How to divide the messages: by none, one or several attributes. */
export interface ShareBy {
  readonly tenants?: readonly string[];
  readonly models?: readonly string[];
  readonly byPriority?: boolean;
}

/** Takes the messages that no other subscription takes: those of other models or tenants, and those without the attribute. */
const REST = 'others';
/** Pub/Sub's limit on the length of a filter. */
export const MOST_FILTER_BYTES = 256;

/**
 * Every message passes exactly one of the filters, regardless of its attributes. `NOT` before a comparison is also true if
 * the attribute is missing; `!=` is not documented to be. `AND` needs no parentheses, so there are none.
 * @throws Error that names the filter that is too long, or the suffix that two subscriptions would share
 */
export function shareOut({ tenants = [], models = [], byPriority = false }: ShareBy): Share[] {
  const [urgent, other] = PRIORITIES;
  const divisions = [
    ...(tenants.length > 0 ? [byAttribute('tenant', tenants, (tenant) => `tenant-${inName(tenant)}`, REST)] : []),
    ...(models.length > 0 ? [byAttribute('model', models, inName, REST)] : []),
    ...(byPriority ? [byAttribute('priority', [urgent], inName, other)] : []),
  ];
  const shares = divisions.reduce<readonly Share[]>(
    (all, division) =>
      all.flatMap(({ suffix, filter }) =>
        division.map((part) => ({
          suffix: joined('-', suffix, part.suffix),
          filter: joined(' AND ', filter, part.filter),
        })),
      ),
    [{ suffix: '', filter: '' }],
  );
  const twice = shares.find(({ suffix }, i) => shares.findIndex((other) => other.suffix === suffix) !== i);
  if (twice) throw new Error(`two subscriptions would be named …-${twice.suffix}`);
  const long = shares.find(({ filter }) => Buffer.byteLength(filter) > MOST_FILTER_BYTES);
  if (long) {
    throw new Error(
      `the filter of …-${long.suffix} has ${Buffer.byteLength(long.filter)} bytes, and Pub/Sub permits ${MOST_FILTER_BYTES}: name fewer; the others share a subscription`,
    );
  }
  return [...shares];
}

/** A share for each value of an attribute, and one for the rest. */
function byAttribute(
  attribute: string,
  values: readonly string[],
  suffixOf: (value: string) => string,
  rest: string,
): readonly Share[] {
  const is = (value: string) => `attributes.${attribute} = "${value}"`;
  return [
    ...values.map((value) => ({ suffix: suffixOf(value), filter: is(value) })),
    { suffix: rest, filter: values.map((value) => `NOT ${is(value)}`).join(' AND ') },
  ];
}

const inName = (value: string) => value.replaceAll(/[_:]/g, '-');

const joined = (by: string, ...parts: readonly string[]) => parts.filter((part) => part !== '').join(by);
