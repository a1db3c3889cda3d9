/** Shortest pause between two reads that failed inferences trigger, in milliseconds. */
const HURRY_MS = 500;

/** One read that many ask for, and that is repeated now and then. Never two at once. */
export class RepeatedRead {
  #reading: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #lastAt = 0;
  #poll: NodeJS.Timeout | undefined;

  /** @param read reports its own failures */
  constructor(private readonly read: () => Promise<void>) {}

  /** Waits for a read that starts now or later. Calls during a read share the next one. @throws what the read throws */
  now(): Promise<void> {
    if (this.#reading) {
      this.#next ??= this.#reading
        .catch(() => undefined) // its callers handle it
        .then(() => {
          this.#next = undefined;
          return this.now();
        });
      return this.#next;
    }
    this.#lastAt = Date.now();
    this.#reading = this.read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Reads now, and then every so many milliseconds, until `stop`. */
  start(everyMs: number): void {
    this.#poll = setInterval(() => this.#inBackground(), everyMs).unref();
    this.#inBackground();
  }

  stop(): void {
    clearInterval(this.#poll);
  }

  /** Reads soon instead of at the next poll, because something has changed on the server. */
  hurry(): void {
    if (Date.now() - this.#lastAt > HURRY_MS) this.#inBackground();
  }

  #inBackground(): void {
    if (this.#reading) return;
    this.now().catch(() => undefined); // it has reported its failure
  }
}
