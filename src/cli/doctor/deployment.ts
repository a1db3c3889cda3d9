import { type Greeting, greetStorage } from '../../adapters/gcs/greet.js';
import { createObjectStore } from '../../adapters/gcs/store.js';
import { PubSubChannel, PUBLISHING } from '../../adapters/pubsub/channel.js';
import { Channel } from '../../adapters/triton/channel.js';
import { type Catalogue, readCatalogue } from '../../adapters/triton/contracts.js';
import { type Config, ConfigError, readSettings, type SettingKey } from '../../config/index.js';
import { openRoutes } from '../../config/routes-file.js';
import type { ObjectStore } from '../../domain/ports.js';
import type { Routes } from '../../domain/routes.js';

/** Time limit for one call, in milliseconds: shorter than that of a check, so that the call's own error is shown. */
export const CALL_MS = 4_500;

/** What the environment names: settings, and connections that open when a check first needs them. */
export class Deployment {
  readonly #closing = new AbortController();
  readonly #closers: (() => void)[] = [];
  #pubsub: PubSubChannel | undefined;
  #store: ObjectStore | undefined;
  #greeting: Promise<Greeting> | undefined;
  #triton: Channel | undefined;
  #catalogue: Promise<Catalogue> | undefined;

  constructor(readonly env: NodeJS.ProcessEnv) {}

  /** The named settings as far as they can be read, and what is wrong with the others. */
  settings<const K extends SettingKey>(keys: readonly K[]) {
    return readSettings(this.env, keys);
  }

  /** Undefined if it is unset, which is right for a worker, or wrong, which `config.variables` says. */
  get uploadPrefix(): string | undefined {
    return this.settings(['uploadPrefix']).values.uploadPrefix;
  }

  pubsub({ projectId, pubsubEmulator }: Pick<Config, 'projectId' | 'pubsubEmulator'>): PubSubChannel {
    if (!this.#pubsub) {
      const channel = new PubSubChannel({ projectId, emulator: pubsubEmulator, pings: PUBLISHING });
      this.#closers.push(() => channel.close());
      this.#pubsub = channel;
    }
    return this.#pubsub;
  }

  store({ storageEmulator }: Pick<Config, 'storageEmulator'>): ObjectStore {
    return (this.#store ??= createObjectStore({ emulator: storageEmulator }, { requestMs: CALL_MS, idleMs: CALL_MS }));
  }

  /** The answer of storage to a request that needs no rights. @throws Unanswered */
  greeting({ projectId, storageEmulator }: Pick<Config, 'projectId' | 'storageEmulator'>): Promise<Greeting> {
    return (this.#greeting ??= greetStorage({ projectId, emulator: storageEmulator }, CALL_MS, this.#closing.signal));
  }

  triton({ tritonUrl }: Pick<Config, 'tritonUrl'>): Channel {
    if (!this.#triton) {
      const channel = new Channel(tritonUrl);
      this.#closers.push(() => channel.close());
      this.#triton = channel;
    }
    return this.#triton;
  }

  /** @throws ConfigError if the file cannot be read */
  routes({ routesFile }: Pick<Config, 'routesFile'>): Routes {
    return openRoutes(routesFile).current();
  }

  /** What Triton serves, and why it does not serve the rest. @throws grpc-js's ServiceError */
  catalogue(config: Pick<Config, 'tritonUrl'>): Promise<Catalogue> {
    return (this.#catalogue ??= readCatalogue(
      this.triton(config),
      { signal: this.#closing.signal, deadlineMs: CALL_MS },
      { names: () => this.#named(), wasServed: () => false },
    ));
  }

  /** What the routes name. Where Triton's list of models is restricted, it says only of these why it does not serve them. */
  #named(): { readonly model: string; readonly version: string }[] {
    try {
      return [...this.routes({ routesFile: this.settings(['routesFile']).values.routesFile }).named];
    } catch (thrown) {
      if (thrown instanceof ConfigError) return []; // `routes.file` says what is wrong
      throw thrown;
    }
  }

  /** Ends calls in flight. */
  close(): void {
    this.#closing.abort(new Error('the checks are over'));
    for (const close of this.#closers) close();
  }
}
