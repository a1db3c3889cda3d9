/** What is wrong with subscriptions that exist. */
import { administer, subscriptionsOf, unlessMissing } from './admin-calls.js';
import type { PubSubChannel } from './channel.js';

export interface TakenTwice {
  /** Subscriptions that `imagen setup` will have, with the filter that new ones get. */
  readonly wanted: readonly { readonly name: string; readonly filter?: string | undefined }[];
  /** Name prefixes, up to a hyphen, of other subscriptions of the same deployment. */
  readonly families: readonly string[];
}

/**
 * Finds jobs that workers would get from two subscriptions. Each subscription of a topic gets every message that passes its
 * filter. The record ensures a single outcome, but the inference runs twice if neither copy finds a record.
 * @returns sentences; none if each job passes one filter only
 */
export async function takenTwice(
  channel: PubSubChannel,
  topic: string,
  { wanted, families }: TakenTwice,
): Promise<readonly string[]> {
  const names = (await subscriptionsOf(channel, topic)) ?? [];
  const isOurs = (name: string) =>
    wanted.some((one) => one.name === name) ||
    families.some((family) => name === family || name.startsWith(`${family}-`));
  const there = await pulledOf(channel, names.filter(isOurs));
  const toCome = wanted
    .filter(({ name }) => !there.some((one) => one.name === name))
    .map(({ name, filter }) => ({ name, filter: filter ?? '' }));
  return overlaps([...there, ...toCome], new Set(wanted.map(({ name }) => name)));
}

interface Filtered {
  readonly name: string;
  /** Empty: it takes every message. */
  readonly filter: string;
}

/** The subscriptions of a topic that a worker can pull. @throws StepFailed */
export async function filtersOf(channel: PubSubChannel, topic: string): Promise<readonly Filtered[]> {
  return pulledOf(channel, (await subscriptionsOf(channel, topic)) ?? []);
}

async function pulledOf(channel: PubSubChannel, names: readonly string[]): Promise<readonly Filtered[]> {
  const looks = names.map(async (name) => {
    const subscription = channel.subscription(name);
    const found = await unlessMissing(`look at ${name}`, () =>
      administer(channel, 'GetSubscription', { subscription }),
    );
    if (!found) return [];
    const { filter, pushConfig, bigqueryConfig, cloudStorageConfig } = found;
    // Workers cannot pull from these; one may be an archive.
    if (pushConfig?.pushEndpoint || bigqueryConfig || cloudStorageConfig) return [];
    return [{ name, filter }];
  });
  return (await Promise.all(looks)).flat();
}

interface Term {
  readonly not: boolean;
  readonly name: string;
  readonly value: string;
}

/** @returns the terms of a filter that `imagen setup` makes (filters.ts), undefined for each of another form */
function termsOf(filter: string): readonly (Term | undefined)[] {
  return filter.split(' AND ').map((term) => {
    const [, not, name = '', value] = /^(NOT )?attributes\.(\w+) = "([^"]*)"$/.exec(term) ?? [];
    return value === undefined ? undefined : { not: not !== undefined, name, value };
  });
}

/** Whether a message passes a filter that `imagen setup` makes. A filter of another form counts as passed. */
export function takes(filter: string, attributes: Readonly<Record<string, string>>): boolean {
  return termsOf(filter).every((term) => !term || (attributes[term.name] === term.value) === !term.not);
}

/**
 * Finds jobs that no subscription of a topic takes: they are lost when they are published.
 * @param toCome filters of subscriptions that do not exist yet
 * @returns sentences; none if every job passes some filter
 */
export async function takenByNone(
  channel: PubSubChannel,
  topic: string,
  toCome: readonly { readonly name: string; readonly filter?: string | undefined }[] = [],
): Promise<readonly string[]> {
  const there = await filtersOf(channel, topic);
  const added = toCome.filter(({ name }) => !there.some((one) => one.name === name));
  return gaps([...there, ...added].map(({ filter = '' }) => filter)).map(
    (kind) => `no subscription of ${topic} takes jobs with ${kind}`,
  );
}

/** Most kinds of jobs to compare with the filters. Those that `imagen setup` makes have fewer. */
const MOST_KINDS = 10_000;

/**
 * The kinds of jobs that pass none of the filters, by their attributes. A filter of another form than `imagen setup` makes
 * counts as passed.
 */
export function gaps(filters: readonly string[]): readonly string[] {
  if (filters.length === 0) return [];
  const named = new Map<string, Set<string>>();
  for (const term of filters.flatMap(termsOf)) {
    if (term) named.set(term.name, (named.get(term.name) ?? new Set()).add(term.value));
  }
  let kinds: readonly Readonly<Record<string, string>>[] = [{}];
  for (const [name, values] of named) {
    // A kind without the attribute stands for all that have another value, too.
    kinds = kinds.flatMap((kind) => [kind, ...[...values].map((value) => ({ ...kind, [name]: value }))]);
    if (kinds.length > MOST_KINDS) return [];
  }
  const inWords = (kind: Readonly<Record<string, string>>) =>
    [...named.keys()]
      .map((name) => (kind[name] === undefined ? `no or another ${name}` : `${name} ${kind[name]}`))
      .join(' and ');
  return kinds.filter((kind) => !filters.some((filter) => takes(filter, kind))).map(inWords);
}

/** Whether some message passes both filters. Filters of another form than `imagen setup` makes count as apart. */
function overlap(a: string, b: string): boolean {
  const [some, others] = [termsOf(a), termsOf(b)];
  return !some.some((one) => others.some((other) => !one || !other || contradict(one, other)));
}

function contradict(a: Term, b: Term): boolean {
  if (a.name !== b.name) return false;
  if (a.not !== b.not) return a.value === b.value;
  return !a.not && a.value !== b.value;
}

/** The worker subscriptions of a topic that take the same jobs as others, one sentence each. */
export function overlaps(
  all: readonly { readonly name: string; readonly filter: string }[],
  wanted: ReadonlySet<string>,
): readonly string[] {
  if (all.length < 2) return [];
  const greedy = all.find(({ filter }) => filter === '');
  if (greedy) {
    const others = all.map(({ name }) => name).filter((name) => name !== greedy.name);
    return [`${greedy.name} has no filter, so it takes every job that ${others.join(', ')} take, too`];
  }
  const [ours, rest] = [all.filter(({ name }) => wanted.has(name)), all.filter(({ name }) => !wanted.has(name))];
  const pairs = ours.flatMap((one, i) => ours.slice(i + 1).map((other) => [one, other] as const));
  return [
    ...pairs
      .filter(([one, other]) => overlap(one.filter, other.filter))
      .map(
        ([one, other]) => `${one.name} and ${other.name} take the same jobs: filters ${one.filter} and ${other.filter}`,
      ),
    // The wanted subscriptions together take every job once, so any other subscription takes some of theirs.
    ...rest.map(({ name, filter }) => `${name}, with the filter ${filter}, takes jobs that the wanted ones take, too`),
  ];
}
