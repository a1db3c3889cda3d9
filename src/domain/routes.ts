/** Routes say which version serves a job that asks for none. They are read from the document that `IMAGEN_ROUTES_FILE` names. */
import { z } from 'zod';
import { type Arm, armsOf, chooseArm } from './experiment.js';
import { describeIssues } from './issues.js';
import { isShadowed } from './shadow.js';

const MOST_ARMS = 8;
/** Smallest weight above 0. A smaller share of the sum is as good as none. */
const LEAST_WEIGHT = 1e-6;
const MOST_WEIGHT = 1e9;

/** Error text of a field: what was expected, and what was given. */
const expected = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) =>
    `expected ${what}, given ${input === undefined ? 'nothing' : JSON.stringify(input)}`,
});
const name = z
  .string(expected('a name'))
  .regex(/^[A-Za-z0-9._-]{1,64}$/, expected('1 to 64 letters, digits, ".", "_" and "-"'));
const version = z
  .string(expected('a version number as a string'))
  .regex(/^[1-9][0-9]*$/, expected('a version number as a string'));
const number = (from: number, to: number) => {
  const told = expected(`a number from ${from} to ${to}`);
  return z.number(told).min(from, told).max(to, told);
};
const wholeNumber = (from: number, to: number) => {
  const told = expected(`a whole number from ${from} to ${to}`);
  return z.int(told).min(from, told).max(to, told);
};

const toldOfWeight = expected(`0, or a number from ${LEAST_WEIGHT} to ${MOST_WEIGHT}`);
const weight = z
  .number(toldOfWeight)
  .refine((value) => value === 0 || (value >= LEAST_WEIGHT && value <= MOST_WEIGHT), toldOfWeight);

const experimentSchema = z
  .strictObject({
    name,
    arms: z
      .array(z.strictObject({ name, version, weight }))
      .min(2, `expected 2 to ${MOST_ARMS} arms`)
      .max(MOST_ARMS, `expected 2 to ${MOST_ARMS} arms`),
    guard: z
      .strictObject({
        maxFailureRatio: number(0, 1).gt(0, expected('a number above 0')),
        minOperations: wholeNumber(1, 1_000_000),
        windowSeconds: wholeNumber(1, 86_400),
        maxSeconds: number(0.1, 86_400).optional(),
        maxLatencyRatio: number(1.1, 1_000).optional(),
      })
      .optional(),
  })
  .superRefine(({ arms }, ctx) => {
    const names = arms.map((arm) => arm.name);
    for (const [index, one] of names.entries()) {
      if (names.indexOf(one) === index) continue;
      const message = `expected a name that no other arm has, given "${one}"`;
      ctx.addIssue({ code: 'custom', path: ['arms', index, 'name'], message });
    }
    if (arms.every(({ weight }) => weight === 0)) {
      ctx.addIssue({ code: 'custom', path: ['arms'], message: 'expected one weight above 0, given none' });
    }
  });

const shadowSchema = z.strictObject({
  version,
  share: number(0, 1).gt(0, expected('a number above 0')),
});

const entrySchema = z
  .strictObject(
    { default: version, experiment: experimentSchema.optional(), shadow: shadowSchema.optional() },
    expected('an object'),
  )
  .superRefine(({ default: usual, shadow }, ctx) => {
    if (shadow?.version !== usual) return;
    const message = `expected another version than the default, given "${usual}"`;
    ctx.addIssue({ code: 'custom', path: ['shadow', 'version'], message });
  });

/** Longest name of a writer, and longest note, in characters. */
const MOST_WORDS = 500;

const words = (what: string) => {
  const told = expected(`${what} of at most ${MOST_WORDS} characters`);
  return z.string(told).max(MOST_WORDS, told);
};

const routesSchema = z.strictObject(
  {
    /** Who wrote this document, when and why. It lies in the document, so that both are written in one step. */
    change: z
      .strictObject(
        { by: words('a name'), at: words('a time'), note: words('a text').optional() },
        expected('an object'),
      )
      .optional(),
    models: z.record(
      z.string().regex(/^\w[\w.-]{0,127}$/, expected('the name of a model')),
      entrySchema,
      expected('an object with names of models as keys'),
    ),
  },
  expected('an object with the field models'),
);

/** The routes as they are written down. */
export type RoutesDocument = z.infer<typeof routesSchema>;
/** What the routes say of one model. */
export type RoutesEntry = RoutesDocument['models'][string];
/** Who wrote a document, when (ISO 8601) and why. */
export type RoutesChange = NonNullable<RoutesDocument['change']>;

export interface Routes {
  /** The version that serves a model's jobs by default. If it is undefined, the newest version serves them. */
  defaultVersion(model: string): string | undefined;
  /** The arm that serves jobs with this key; undefined if the model is in no experiment. */
  armOf(model: string, key: string): Arm | undefined;
  /** Arms of all experiments. */
  readonly arms: readonly Arm[];
  /** The version that does a job's shadow; undefined if the job gets none. */
  shadowOf(model: string, jobId: string): string | undefined;
  /** The versions that do shadows. */
  readonly shadows: readonly { readonly model: string; readonly version: string }[];
  /** All versions that the routes name, as a default, for an arm or for a shadow. */
  readonly named: readonly { readonly model: string; readonly version: string }[];
}

export const NO_ROUTES: Routes = {
  defaultVersion: () => undefined,
  armOf: () => undefined,
  arms: [],
  shadowOf: () => undefined,
  shadows: [],
  named: [],
};

/** @throws Error that names each wrong field, what was expected and what was given */
export function parseRoutesDocument(text: string): RoutesDocument {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`expected JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  // The schema would leave it out without a word.
  const models = (value as { readonly models?: unknown } | null)?.models;
  if (typeof models === 'object' && models !== null && Object.hasOwn(models, '__proto__')) {
    throw new Error('models: expected the name of a model, given "__proto__"');
  }
  const parsed = routesSchema.safeParse(value);
  if (!parsed.success) throw new Error(describeIssues(parsed.error.issues).join('; '));
  return parsed.data;
}

/** @throws Error that names each wrong field, what was expected and what was given */
export function parseRoutes(text: string): Routes {
  return routesOf(parseRoutesDocument(text));
}

export function routesOf(document: RoutesDocument): Routes {
  const models = new Map(
    Object.entries(document.models).map(([model, { default: version, experiment, shadow }]) => {
      const arms = experiment ? armsOf(model, version, experiment) : [];
      return [model, { version, arms, shadow }];
    }),
  );
  return {
    defaultVersion: (model) => models.get(model)?.version,
    armOf: (model, key) => chooseArm(models.get(model)?.arms ?? [], key),
    arms: [...models.values()].flatMap(({ arms }) => arms),
    shadowOf(model, jobId) {
      const shadow = models.get(model)?.shadow;
      return shadow && isShadowed(shadow, model, jobId) ? shadow.version : undefined;
    },
    shadows: [...models].flatMap(([model, { shadow }]) => (shadow ? [{ model, version: shadow.version }] : [])),
    named: Object.entries(document.models).flatMap(([model, entry]) =>
      versionsIn(entry).map((version) => ({ model, version })),
    ),
  };
}

/** The versions that an entry names, each once, the default first. */
export function versionsIn({ default: version, experiment, shadow }: RoutesEntry): string[] {
  const arms = (experiment?.arms ?? []).map((arm) => arm.version);
  return [...new Set([version, ...arms, ...(shadow ? [shadow.version] : [])])];
}
