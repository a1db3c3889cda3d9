/** Completions as they are published, for all that wait: one temporary subscription, from the first wait to the end of the client. */
import type { TopicWatch } from '../adapters/pubsub/watch-topic.js';
import type { PubSubChannel } from '../adapters/pubsub/channel.js';
import { ClientError } from './errors.js';
import type { ClientSettings } from './options.js';

export interface Arrivals {
  /**
   * Resolves when the completions that are published from then on will be noticed.
   * @param onArrival called for each completion of the job, which may come more than once; must not throw
   * @returns what ends it
   * @throws ClientError `TOPIC_NOT_FOUND`, `PUBSUB_DENIED`, `PUBSUB_UNAVAILABLE`
   */
  watch(jobId: string, onArrival: () => void): Promise<() => void>;
  close(): Promise<void>;
}

interface Open {
  readonly channel: PubSubChannel;
  readonly watching: TopicWatch;
}

/** @param describe makes the error of the client from what the calls throw */
export function createArrivals(
  { projectId, pubsubEmulator, completionsTopic }: ClientSettings,
  describe: (thrown: unknown) => ClientError,
): Arrivals {
  const waiting = new Map<string, Set<() => void>>();
  let opening: Promise<Open> | undefined;
  let closing = false;

  async function open(): Promise<Open> {
    const [{ PubSubChannel }, { watchTopic }] = await Promise.all([
      import('../adapters/pubsub/channel.js'),
      import('../adapters/pubsub/watch-topic.js'),
    ]);
    const channel = new PubSubChannel({ projectId, emulator: pubsubEmulator });
    try {
      const tell = ({ attributes }: { readonly attributes: Readonly<Record<string, string>> }) => {
        for (const onArrival of waiting.get(attributes.jobId ?? '') ?? []) onArrival();
      };
      // What goes wrong later costs nothing but time: who waits looks at the record now and then, too.
      const watching = await watchTopic(channel, completionsTopic, tell, () => undefined);
      void watching.closed.then(async () => {
        opening = undefined;
        if (closing) return; // `close` still needs the channel, to delete the subscription
        await watching.stop();
        channel.close();
      });
      return { channel, watching };
    } catch (thrown) {
      channel.close();
      throw describe(thrown);
    }
  }

  return {
    async watch(jobId, onArrival) {
      const listeners = waiting.get(jobId) ?? new Set();
      waiting.set(jobId, listeners.add(onArrival));
      const stop = () => {
        listeners.delete(onArrival);
        if (listeners.size === 0 && waiting.get(jobId) === listeners) waiting.delete(jobId);
      };
      try {
        await (opening ??= open());
      } catch (thrown) {
        opening = undefined; // the next one tries again
        stop();
        throw thrown;
      }
      return stop;
    },
    async close() {
      closing = true;
      const opened = await opening?.catch(() => undefined);
      await opened?.watching.stop();
      opened?.channel.close();
    },
  };
}
