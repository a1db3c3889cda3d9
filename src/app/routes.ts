/** The worker's routes: read when it starts, and again when they change. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readDocument, readRoutes } from '../config/routes.js';
import { ConfigError } from '../config/index.js';
import type { RoutesSource } from '../domain/ports.js';
import { NO_ROUTES, type Routes, routesOf } from '../domain/routes.js';

/** How often to look whether the document has changed, in milliseconds. */
export const POLL_ROUTES_MS = 2_000;
/** Pauses between attempts to read the document at the start, in milliseconds: each is twice the one before. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

export interface RoutesLines {
  /** A new document is in force. */
  readonly changed: (routes: Routes, generation: string) => void;
  /** A new document is wrong, and the last good one stays. Called once for each document. */
  readonly broken: (error: Error, generation: string) => void;
  /** After each attempt to read: why it failed, or undefined. */
  readonly read: (trouble: unknown) => void;
}

export class LiveRoutes {
  readonly #source: RoutesSource | undefined;
  readonly #lines: RoutesLines;
  #routes = NO_ROUTES;
  /** Generation of the last document that was read, a broken one included. */
  #seen: string | undefined;

  readonly #refuse: (routes: Routes) => string | undefined;

  /**
   * @param source undefined if there are to be no routes
   * @param refuse says why the worker cannot work by these routes
   */
  constructor(
    source: RoutesSource | undefined,
    lines: RoutesLines,
    refuse: (routes: Routes) => string | undefined = () => undefined,
  ) {
    this.#source = source;
    this.#lines = lines;
    this.#refuse = refuse;
  }

  /** The last good routes. */
  current(): Routes {
    return this.#routes;
  }

  /** Whether `open` still waits. */
  get missing(): boolean {
    return this.#source !== undefined && this.#seen === undefined;
  }

  /**
   * Reads the document. It waits while storage is away, because a worker without routes would give jobs another version.
   * @throws ConfigError if there is no document, or a wrong one; the signal's reason
   */
  async open(signal: AbortSignal): Promise<void> {
    if (!this.#source) return;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        const { document, generation } = await readRoutes(this.#source, signal);
        this.#routes = this.#accepted(routesOf(document));
        this.#seen = generation;
        this.#lines.read(undefined);
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        if (thrown instanceof ConfigError) throw thrown;
        this.#lines.read(thrown);
      }
      await sleep(pauseMs, undefined, { signal });
    }
  }

  /** Reads the document if it has changed. It never throws: what is wrong is told, and the last good routes stay. */
  async poll(signal: AbortSignal): Promise<void> {
    const source = this.#source;
    if (!source) return;
    try {
      const found = await source.read(signal, this.#seen);
      if (found.kind === 'found') this.#take(source, found.text, found.generation);
      this.#lines.read(troubleIn(found));
    } catch (thrown) {
      if (!signal.aborted) this.#lines.read(thrown);
    }
  }

  /** @throws ConfigError */
  #accepted(routes: Routes): Routes {
    const reason = this.#refuse(routes);
    if (reason !== undefined) throw new ConfigError([reason]);
    return routes;
  }

  #take(source: RoutesSource, text: string, generation: string): void {
    this.#seen = generation;
    try {
      this.#routes = this.#accepted(routesOf(readDocument(source.place, text)));
    } catch (thrown) {
      this.#lines.broken(thrown as Error, generation);
      return;
    }
    this.#lines.changed(this.#routes, generation);
  }
}

function troubleIn(found: Awaited<ReturnType<RoutesSource['read']>>): string | undefined {
  if (found.kind === 'missing') return 'there is none any more';
  return found.kind === 'unusable' ? found.reason : undefined;
}
