/** Filters that share the messages of one topic out among several subscriptions. */
import { PRIORITIES } from '../../domain/job.js';

export interface Share {
  /** What the subscription's name ends in. */
  readonly suffix: string;
  readonly filter: string;
}

/** Takes what no other subscription takes: messages of other models, and those without the attribute. */
const REST = 'others';
/** Pub/Sub's own. */
const MOST_FILTER_BYTES = 256;

/**
 * Every message passes exactly one of the filters, whatever attributes it has. `NOT` before a comparison is true also
 * where the attribute is missing, which `!=` is not documented to be; and there are no parentheses, since `AND` needs none.
 * @throws Error that says which filter is too long, or which models would get the same name
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
