import { scriptArgs } from '../stack/paths.js';
import { googleEmulator, missingForGoogle } from './google-pubsub.js';
import type { Part, ProcessSpec, Serving } from './part.js';
import { listens } from './probe.js';

const VARIABLE = 'IMAGEN_STACK_PUBSUB';

/** Google's emulator, or the embedded one (scripts/dev/pubsub), which needs only Node. */
export const pubsub: Part = {
  ...{ id: 'pubsub', title: 'Pub/Sub emulator', ports: ['pubsub'], readyTimeoutMs: 60_000 },

  prerequisites: async (serving) => (chosen(serving) === 'google' ? missingForGoogle() : []),

  async start(context) {
    const kind = chosen(context);
    const [missing] = kind === undefined ? await missingForGoogle() : [];
    if (missing) context.step(`embedded, since Google's needs ${missing.what}; ${VARIABLE} names one of the two`);
    return kind === 'embedded' || missing ? embedded(context.ports.pubsub) : googleEmulator(context.ports.pubsub);
  },
};

/** @returns undefined where it is Google's if it can run, else the embedded one. @throws Error for another name */
function chosen({ pubsub }: Serving): Serving['pubsub'] {
  const name = pubsub ?? process.env[VARIABLE] ?? '';
  if (name === 'google' || name === 'embedded') return name;
  if (name === '') return undefined;
  throw new Error(`${VARIABLE} must be google or embedded, not '${name}'`);
}

const embedded = (port: number): ProcessSpec => ({
  command: process.execPath,
  args: [...scriptArgs('scripts/dev/pubsub/main.ts'), String(port)],
  ready: () => listens(port),
});
