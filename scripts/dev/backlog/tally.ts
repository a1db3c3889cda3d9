/**
 * How many messages a subscription still has, from what is published: a message that is acked leaves a completion, or a
 * copy of itself in the queue. Either may come twice, or before the message itself.
 */

export interface Message {
  readonly id: string;
  /** When this message, which may be a copy, was published: what Pub/Sub counts from. */
  readonly publishedAtMs: number;
  /** What all messages of one job have in common: its id, or a digest where that cannot be read. */
  readonly key: string;
  /** The message that it is a copy of, and how many copies there were; itself and 0 for one that was never put back. */
  readonly firstId: string;
  readonly deferrals: number;
}

export interface End {
  readonly id: string;
  readonly key?: string | undefined;
  /** The first id of the message that it names; another one's, where a duplicate was answered from the job's record. */
  readonly firstId?: string | undefined;
}

export type Tally = ReturnType<typeof createTally>;

/** How long to remember ends of messages that were not seen yet, and names that may be repeated, in milliseconds. */
const REMEMBERED_MS = 60_000;

export function createTally(now: () => number = Date.now) {
  const open = new Map<string, Message>();
  const seen = remember(now);
  const early = remember(now);

  const closeFirst = (matches: (message: Message) => boolean): boolean => {
    let oldest: Message | undefined;
    for (const message of open.values()) {
      if (matches(message) && !(oldest && oldest.publishedAtMs <= message.publishedAtMs)) oldest = message;
    }
    return oldest !== undefined && open.delete(oldest.id);
  };
  const lifeOf = ({ firstId, deferrals }: Pick<Message, 'firstId' | 'deferrals'>) => `life ${firstId} ${deferrals}`;

  return {
    published(message: Message): void {
      if (!seen.add(`message ${message.id}`)) return;
      const { firstId, deferrals } = message;
      if (deferrals > 0) {
        const before = { firstId, deferrals: deferrals - 1 };
        // If a message was put back twice, the first copy that was seen has closed its entry.
        const closed = closeFirst((one) => lifeOf(one) === lifeOf(before));
        if (!closed && !seen.has(`closed ${lifeOf(before)}`)) early.put(lifeOf(before));
        seen.add(`closed ${lifeOf(before)}`);
      }
      if (early.take(lifeOf(message)) || early.take(`key ${message.key}`) || early.take(`first ${firstId}`)) return;
      open.set(message.id, message);
    },
    ended({ id, key, firstId }: End): void {
      if (!seen.add(`end ${id}`)) return;
      if (firstId !== undefined && closeFirst((one) => one.firstId === firstId)) return;
      if (key !== undefined && closeFirst((one) => one.key === key)) return;
      if (key !== undefined) early.put(`key ${key}`);
      else if (firstId !== undefined) early.put(`first ${firstId}`);
    },
    /** How many messages there are, and how old the oldest of them is; 0 where there is none. */
    backlog() {
      const oldest = Math.min(now(), ...[...open.values()].map(({ publishedAtMs }) => publishedAtMs));
      return { messages: open.size, oldestAgeSeconds: Math.max(0, now() - oldest) / 1000 };
    },
  };
}

/** Names with a time to live; the same one may be there several times. */
function remember(now: () => number) {
  const times = new Map<string, number[]>();
  let swept = now();
  const fresh = (name: string) => (times.get(name) ?? []).filter((at) => at > now() - REMEMBERED_MS);
  const keep = (name: string, left: number[]) => {
    if (left.length > 0) times.set(name, left);
    else times.delete(name);
  };
  const put = (name: string) => {
    if (now() >= swept + REMEMBERED_MS) {
      swept = now();
      for (const one of [...times.keys()]) keep(one, fresh(one));
    }
    keep(name, [...fresh(name), now()]);
  };
  const has = (name: string) => fresh(name).length > 0;
  return {
    put,
    has,
    /** @returns false where it was there already */
    add(name: string): boolean {
      if (has(name)) return false;
      put(name);
      return true;
    },
    /** @returns whether it was there; once less now */
    take(name: string): boolean {
      const [first, ...others] = fresh(name);
      keep(name, others);
      return first !== undefined;
    },
  };
}
