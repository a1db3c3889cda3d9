import { type Greeting, greetStorage } from '../../adapters/gcs/greet.js';
import { createObjectStore } from '../../adapters/gcs/store.js';
import { PubSubChannel, PUBLISHING } from '../../adapters/pubsub/channel.js';
import { openRoutesStore } from '../../adapters/routes.js';
import { Channel } from '../../adapters/triton/channel.js';
import { type Catalogue, readCatalogue } from '../../adapters/triton/contracts.js';
import { type Config, ConfigError, readSettings, type SettingKey } from '../../config/index.js';
import { readRoutes } from '../../config/routes.js';
import { JobError } from '../../domain/errors.js';
import type { ObjectStore } from '../../domain/ports.js';
import { NO_ROUTES, type Routes, routesOf } from '../../domain/routes.js';

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
  #routes: Promise<Routes> | undefined;
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

  /** @throws ConfigError if they are missing or wrong; JobError if storage has them and does not answer */
  routes({ routesFile, storageEmulator }: Pick<Config, 'routesFile' | 'storageEmulator'>): Promise<Routes> {
    return (this.#routes ??= this.#readRoutes(routesFile, storageEmulator));
  }

  async #readRoutes(routesFile: string | undefined, storageEmulator: string | undefined): Promise<Routes> {
    if (routesFile === undefined) return NO_ROUTES;
    const store = openRoutesStore({ routesFile, storageEmulator }, { requestMs: CALL_MS, idleMs: CALL_MS });
    return routesOf((await readRoutes(store, this.#closing.signal)).document);
  }

  /** What Triton serves, and why it does not serve the rest. @throws grpc-js's ServiceError */
  catalogue(config: Pick<Config, 'tritonUrl'>): Promise<Catalogue> {
    return (this.#catalogue ??= this.#readCatalogue(config));
  }

  async #readCatalogue(config: Pick<Config, 'tritonUrl'>): Promise<Catalogue> {
    const named = await this.#named();
    const options = { signal: this.#closing.signal, deadlineMs: CALL_MS };
    return readCatalogue(this.triton(config), options, { names: () => named, wasServed: () => false });
  }

  /** What the routes name. Where Triton's list of models is restricted, it says only of these why it does not serve them. */
  async #named(): Promise<{ readonly model: string; readonly version: string }[]> {
    const { routesFile, storageEmulator } = this.settings(['routesFile', 'storageEmulator']).values;
    try {
      return [...(await this.routes({ routesFile, storageEmulator })).named];
    } catch (thrown) {
      if (thrown instanceof ConfigError || thrown instanceof JobError) return []; // `routes.file` says what is wrong
      throw thrown;
    }
  }

  /** Ends calls in flight. */
  close(): void {
    this.#closing.abort(new Error('the checks are over'));
    for (const close of this.#closers) close();
  }
}
