/** Starting and stopping: one contract for every part of the worker that runs between the two. */
import { setTimeout as sleep } from 'node:timers/promises';

/** A part that runs. Creating it has no effects; those begin with `start` and end with `stop`. */
export interface Service {
  /** Its name in the log. */
  readonly name: string;
  /**
   * Resolves when the service runs. If the signal fires while it starts, it should return or throw soon.
   * @throws when the worker cannot run without it
   */
  readonly start?: (signal: AbortSignal) => Promise<void> | void;
  /** Ends the service. Called once, after `start` has ended, even if `start` failed. */
  readonly stop?: () => Promise<void> | void;
}

export type LifecycleState = 'new' | 'starting' | 'running' | 'stopping' | 'stopped';

export interface LifecycleOptions {
  /** How long `stop` may take, in milliseconds. After that the remaining services are told to stop, but not waited for. */
  readonly stopMs: number;
  /** Called when a service fails to stop; must not throw. The others are stopped all the same. */
  readonly onStopFailed: (name: string, error: unknown) => void;
}

/**
 * Starts services in the order given, and stops them in reverse. `start` and `stop` may be called at any time, in any order
 * and more than once: each takes effect once. A stop during the start ends the start and stops what has begun. A start after
 * a stop starts nothing.
 */
export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #stopping = new AbortController();
  readonly #begun: Service[] = [];
  #state: LifecycleState = 'new';
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  get state(): LifecycleState {
    return this.#state;
  }

  /** Fires when `stop` is called. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** @throws the error of the first service that does not start; the caller then calls `stop` */
  start(services: readonly Service[]): Promise<void> {
    return (this.#started ??= this.#start(services));
  }

  /** Never rejects. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #start(services: readonly Service[]): Promise<void> {
    const isStopping = () => this.#stopping.signal.aborted;
    if (isStopping()) return;
    this.#state = 'starting';
    for (const service of services) {
      this.#begun.push(service);
      try {
        await service.start?.(this.#stopping.signal);
      } catch (error) {
        if (!isStopping()) throw error;
      }
      if (isStopping()) return;
    }
    this.#state = 'running';
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping';
    const timeOver = sleep(this.#options.stopMs, undefined, { ref: false });
    this.#stopping.abort(new Error('the worker is stopping'));
    await Promise.race([this.#started?.catch(() => undefined), timeOver]);
    for (const service of this.#begun.reverse()) await Promise.race([this.#stopOne(service), timeOver]);
    this.#state = 'stopped';
  }

  async #stopOne({ name, stop }: Service): Promise<void> {
    try {
      await stop?.();
    } catch (error) {
      this.#options.onStopFailed(name, error);
    }
  }
}
