/** Topics and subscriptions by their whole names, and what happens between them. All of it is in memory. */
import type { PublishRequest, PubsubMessage } from '../../../src/adapters/pubsub/wire.js';
import { Backlog } from './backlog.js';
import { Feed } from './feed.js';
import { type Filter, parseFilter } from './filter.js';
import { checkMessages, deadLetterOf, type NewMessage, sizeOf, toTimestamp } from './messages.js';
import { alreadyExists, invalid, notFound, type Refusal } from './refusal.js';
import { change, checkName, complete, policiesOf, type Settings } from './settings.js';

export interface Topic {
  readonly name: string;
}

interface Subscription {
  settings: Settings;
  readonly matches: Filter;
  readonly feed: Feed;
}

export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

const DELETED_TOPIC = '_deleted-topic_';
const LARGEST_PAGE = 1000;

export class Broker {
  readonly #now: () => number;
  readonly #topics = new Map<string, Topic>();
  readonly #subscriptions = new Map<string, Subscription>();
  #lastMessageId: number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    // So that a server that starts anew gives no id a second time.
    this.#lastMessageId = now() * 1000;
  }

  createTopic(topic: Topic): Topic {
    checkName('topics', topic.name);
    if (this.#topics.has(topic.name)) throw alreadyExists(topic.name);
    this.#topics.set(topic.name, topic);
    return topic;
  }

  topic(name: string): Topic {
    const topic = this.#topics.get(name);
    if (!topic) throw notFound(name);
    return topic;
  }

  topics(project: string, page: PageRequest) {
    const { items, nextPageToken } = pageOf([...this.#topics.values()].filter(isOf(project, 'topics')), page);
    return { topics: items, nextPageToken };
  }

  subscriptionsOf(topic: string, page: PageRequest) {
    this.topic(topic);
    const names = [...this.#subscriptions].flatMap(([name, { settings }]) => (settings.topic === topic ? [name] : []));
    const { items, nextPageToken } = pageOf(names, page);
    return { subscriptions: items, nextPageToken };
  }

  /** Its subscriptions stay, with what they hold. */
  deleteTopic(name: string): void {
    this.topic(name);
    this.#topics.delete(name);
    for (const subscription of this.#subscriptions.values()) {
      const { settings } = subscription;
      if (settings.topic === name) subscription.settings = { ...settings, topic: DELETED_TOPIC };
    }
  }

  createSubscription(given: Settings): Settings {
    const { name, topic, filter } = given;
    checkName('subscriptions', name);
    if (this.#subscriptions.has(name)) throw alreadyExists(name);
    this.topic(topic);
    const matches = parseFilter(filter);
    const settings = complete(given);
    this.#checkDeadLetterTopic(settings);
    const giveUp = (message: PubsubMessage, attempts: number) => this.#deadLetter(name, message, attempts);
    const feed = new Feed(new Backlog(policiesOf(settings), this.#now, giveUp), this.#now);
    this.#subscriptions.set(name, { settings, matches, feed });
    return settings;
  }

  settings(name: string): Settings {
    return this.#subscription(name).settings;
  }

  feed(name: string): Feed {
    return this.#subscription(name).feed;
  }

  subscriptions(project: string, page: PageRequest) {
    const all = [...this.#subscriptions.values()].map(({ settings }) => settings);
    const { items, nextPageToken } = pageOf(all.filter(isOf(project, 'subscriptions')), page);
    return { subscriptions: items, nextPageToken };
  }

  updateSubscription(wanted: Settings, paths: readonly string[]): Settings {
    const subscription = this.#subscription(wanted.name);
    const settings = change(subscription.settings, wanted, paths);
    if (paths.some((path) => path.startsWith('dead_letter_policy'))) this.#checkDeadLetterTopic(settings);
    subscription.settings = settings;
    subscription.feed.backlog.policies = policiesOf(settings);
    return settings;
  }

  deleteSubscription(name: string): void {
    this.#subscription(name).feed.close(notFound(name));
    this.#subscriptions.delete(name);
  }

  /** @returns the messages' ids */
  publish({ topic, messages }: PublishRequest): string[] {
    this.topic(topic);
    checkMessages(messages);
    return messages.map((message) => this.#spread(topic, message));
  }

  /** Ends all who wait for messages. */
  close(refusal: Refusal): void {
    for (const { feed } of this.#subscriptions.values()) feed.close(refusal);
  }

  #spread(topic: string, { data, attributes, orderingKey }: NewMessage): string {
    const messageId = String(++this.#lastMessageId);
    const message = { data, attributes, orderingKey, messageId, publishTime: toTimestamp(this.#now()) };
    for (const { settings, matches, feed } of this.#subscriptions.values()) {
      if (settings.topic !== topic || !matches(attributes)) continue;
      feed.backlog.add(message, sizeOf(message));
      feed.wake();
    }
    return messageId;
  }

  #deadLetter(name: string, message: PubsubMessage, attempts: number): boolean {
    const topic = this.#subscriptions.get(name)?.settings.deadLetterPolicy?.deadLetterTopic;
    if (topic === undefined || !this.#topics.has(topic)) return false;
    this.#spread(topic, deadLetterOf(message, name, attempts));
    return true;
  }

  #subscription(name: string): Subscription {
    const subscription = this.#subscriptions.get(name);
    if (!subscription) throw notFound(name);
    return subscription;
  }

  #checkDeadLetterTopic({ deadLetterPolicy }: Settings): void {
    if (deadLetterPolicy) this.topic(deadLetterPolicy.deadLetterTopic);
  }
}

const isOf =
  (project: string, kind: string) =>
  ({ name }: { readonly name: string }): boolean =>
    name.startsWith(`${project}/${kind}/`);

/** The token is the place in the list at which the page begins. */
function pageOf<T>(items: readonly T[], { pageSize, pageToken }: PageRequest) {
  const start = pageToken === '' ? 0 : Number(pageToken);
  if (!Number.isInteger(start) || start < 0 || pageSize < 0) throw invalid('Invalid page_size or page_token.');
  const end = start + Math.min(pageSize || LARGEST_PAGE, LARGEST_PAGE);
  return { items: items.slice(start, end), nextPageToken: end < items.length ? String(end) : '' };
}
