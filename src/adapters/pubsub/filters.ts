/** Filters that divide the messages of one topic among several subscriptions. */
import { PRIORITIES } from '../../domain/job.js';

export interface Share {
  /** Suffix of the subscription's name. */
  readonly suffix: string;
  readonly filter: string;
}

/** Takes the messages that no other subscription takes: those of other models, and those without the attribute. */
const REST = 'others';
/** Pub/Sub's limit on the length of a filter. */
const MOST_FILTER_BYTES = 256;

/**
 * Every message passes exactly one of the filters, regardless of its attributes. `NOT` before a comparison is also true if
 * the attribute is missing; `!=` is not documented to be. `AND` needs no parentheses, so there are none.
 * @throws Error that names the filter that is too long, or the suffix that two subscriptions would share
 */
export function shareOut({ models, byPriority }: { models: readonly string[]; byPriority: boolean }): Share[] {
  const ofModel = (model: string) => `attributes.model = "${model}"`;
  const byModel: readonly Share[] =
    models.length === 0
      ? [{ suffix: '', filter: '' }]
      : [
          ...models.map((model) => ({ suffix: model.replaceAll('_', '-'), filter: ofModel(model) })),
          { suffix: REST, filter: models.map((model) => `NOT ${ofModel(model)}`).join(' AND ') },
        ];
  const [urgent, other] = PRIORITIES;
  const isUrgent = `attributes.priority = "${urgent}"`;
  const shares = byPriority
    ? byModel.flatMap((share) => [
        { suffix: joined('-', share.suffix, urgent), filter: joined(' AND ', share.filter, isUrgent) },
        { suffix: joined('-', share.suffix, other), filter: joined(' AND ', share.filter, `NOT ${isUrgent}`) },
      ])
    : byModel;
  const twice = shares.find(({ suffix }, i) => shares.findIndex((other) => other.suffix === suffix) !== i);
  if (twice) throw new Error(`two subscriptions would be named …-${twice.suffix}`);
  const long = shares.find(({ filter }) => Buffer.byteLength(filter) > MOST_FILTER_BYTES);
  if (long) {
    throw new Error(
      `the filter of …-${long.suffix} has ${Buffer.byteLength(long.filter)} bytes, and Pub/Sub permits ${MOST_FILTER_BYTES}: name fewer models; the others share a subscription`,
    );
  }
  return [...shares];
}

const joined = (by: string, ...parts: readonly string[]) => parts.filter((part) => part !== '').join(by);
