/** Server-Sent Events to all browsers that look: everything at first, then what changes. */
import type { ServerResponse } from 'node:http';

export type Feed = ReturnType<typeof createFeed>;

const PAUSE_MS = 100;
const HEARTBEAT_MS = 15_000;
/** A browser that has not taken so much is left behind; when it comes back it gets everything anew. */
const MAX_WAITING_BYTES = 4 * 1024 ** 2;
const MAX_BROWSERS = 32;
const COME_BACK_MS = 1_000;

export function createFeed({ snapshot, changes }: { snapshot: () => unknown; changes: () => unknown }) {
  const browsers = new Set<ServerResponse>();
  let timer: NodeJS.Timeout | undefined;
  const heartbeat = setInterval(() => write(': still here\n\n'), HEARTBEAT_MS).unref();

  function write(text: string): void {
    for (const browser of browsers) {
      if (browser.writableLength > MAX_WAITING_BYTES) browser.destroy();
      else browser.write(text);
    }
  }

  return {
    join(response: ServerResponse): void {
      if (browsers.size >= MAX_BROWSERS) browsers.values().next().value?.destroy();
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.write(`retry: ${COME_BACK_MS}\n\n${message('snapshot', snapshot())}`);
      browsers.add(response);
      response.on('close', () => browsers.delete(response));
    },
    stir(): void {
      timer ??= setTimeout(() => {
        timer = undefined;
        write(message('change', changes()));
      }, PAUSE_MS);
    },
    close(): void {
      clearTimeout(timer);
      clearInterval(heartbeat);
      for (const browser of browsers) browser.destroy();
    },
  };
}

/** JSON has no line breaks of its own, which would end a message. */
const message = (event: string, data: unknown): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
