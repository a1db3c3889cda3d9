/** Edits of the routes. Each returns a new document and changes nothing else. */
import type { GuardLimits } from './experiment.js';
import { canonicalJson } from './fingerprint.js';
import type { RoutesChange, RoutesDocument, RoutesEntry } from './routes.js';

type Models = Pick<RoutesDocument, 'models'>;

/** The entry of a model. A model may have the name of a property that every object inherits, such as `constructor`. */
export const entryOf = ({ models }: Models, model: string): RoutesEntry | undefined =>
  Object.hasOwn(models, model) ? models[model] : undefined;

/** An edit that cannot be made, with the reason. */
export interface Refusal {
  readonly refused: string;
}

/** Stops a version that fails at a tenth of at least 20 operations of one worker within ten minutes. */
export const DEFAULT_GUARD: GuardLimits = { maxFailureRatio: 0.1, minOperations: 20, windowSeconds: 600 };

const STABLE = 'stable';
const CANARY = 'canary';

/** The text of a document, with who wrote it. */
export function writeRoutes({ models }: Models, change: RoutesChange): string {
  return `${JSON.stringify({ change, models }, null, 2)}\n`;
}

/** Makes a version the model's default, and ends its experiment, and its shadow if that is of the same version. */
export function promoted({ models }: Models, model: string, version: string): Models {
  const shadow = entryOf({ models }, model)?.shadow;
  const kept = shadow && shadow.version !== version ? { shadow } : {};
  return { models: { ...models, [model]: { default: version, ...kept } } };
}

/**
 * Gives a version a share of the model's jobs, beside the default version. If the two are already in an experiment with each
 * other, it keeps its name and the order of its arms, so that most keys keep their arm.
 * @param percent above 0 and below 100
 * @param limits of the guard, as far as they were given; the others stay, or are the default
 */
export function shared(
  { models }: Models,
  model: string,
  version: string,
  percent: number,
  limits: Partial<GuardLimits> = {},
): Models | Refusal {
  const entry = entryOf({ models }, model);
  if (!entry) return { refused: withoutEntry(model) };
  if (entry.default === version) {
    return { refused: `version ${version} is the default of ${model} already, and gets the rest of its jobs` };
  }
  const before = sameTwo(entry, version);
  const guard = { ...(before?.guard ?? DEFAULT_GUARD), ...limits };
  const rest = Number((100 - percent).toFixed(6));
  const arms = before?.arms ?? [
    { name: STABLE, version: entry.default },
    { name: CANARY, version },
  ];
  const experiment = {
    name: before?.name ?? `${CANARY}-${version}`,
    arms: arms.map((arm) => ({ ...arm, weight: arm.version === version ? percent : rest })),
    guard,
  };
  return { models: { ...models, [model]: { ...entry, experiment } } };
}

const withoutEntry = (model: string): string =>
  `the routes have no entry for ${model}, so its newest version serves all its jobs. Give it a default first: imagen models promote ${model} VERSION`;

/**
 * Has a version do a share of the model's jobs once more. A shadow that the model has is replaced; its experiment stays.
 * @param percent above 0, at most 100
 */
export function shadowed({ models }: Models, model: string, version: string, percent: number): Models | Refusal {
  const entry = entryOf({ models }, model);
  if (!entry) return { refused: withoutEntry(model) };
  if (entry.default === version) {
    return { refused: `version ${version} is the default of ${model}: its shadow would be the same picture` };
  }
  const share = Number((percent / 100).toFixed(9));
  return { models: { ...models, [model]: { ...entry, shadow: { version, share } } } };
}

/** Ends the model's shadow. */
export function unshadowed({ models }: Models, model: string): Models | Refusal {
  const entry = entryOf({ models }, model);
  if (!entry?.shadow) return { refused: `${model} has no shadow in the routes` };
  const { default: usual, experiment } = entry;
  return { models: { ...models, [model]: { default: usual, ...(experiment ? { experiment } : {}) } } };
}

/** The entry's experiment, if it is one of the default and this version alone. */
function sameTwo({ default: usual, experiment }: RoutesEntry, version: string): RoutesEntry['experiment'] {
  const versions = experiment?.arms.map((arm) => arm.version) ?? [];
  return versions.length === 2 && versions.includes(usual) && versions.includes(version) ? experiment : undefined;
}

/** Gives a model the entry that it had in another document, or none. The others stay. */
export function withEntryOf({ models }: Models, former: Models, model: string): Models {
  const entry = entryOf(former, model);
  if (entry) return { models: { ...models, [model]: entry } };
  return { models: Object.fromEntries(Object.entries(models).filter(([name]) => name !== model)) };
}

const sameEntry = (a: RoutesEntry | undefined, b: RoutesEntry | undefined): boolean =>
  canonicalJson(a ?? null) === canonicalJson(b ?? null);

/** Whether two documents say the same of a model. */
export const agreesOn = (a: Models, b: Models, model: string): boolean =>
  sameEntry(entryOf(a, model), entryOf(b, model));

/** Names of the models of which two documents do not say the same, in alphabetical order. */
export function changedModels(before: Models, after: Models): string[] {
  const names = new Set([...Object.keys(before.models), ...Object.keys(after.models)]);
  return [...names].filter((model) => !agreesOn(before, after, model)).sort();
}

/** What an edit changes, as lines that begin with a space, `-` or `+`, under the name of each model. */
export function differences(before: Models, after: Models): string[] {
  return changedModels(before, after).flatMap((model) => [
    `${model}:`,
    ...lineDifferences(linesOf(entryOf(before, model)), linesOf(entryOf(after, model))),
  ]);
}

const linesOf = (entry: RoutesEntry | undefined): string[] =>
  entry === undefined ? [] : JSON.stringify(entry, null, 2).split('\n');

/** By the longest common subsequence: an entry has few lines. */
function lineDifferences(before: readonly string[], after: readonly string[]): string[] {
  const common = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0));
  const at = (i: number, j: number) => common[i]?.[j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const row = common[i];
      if (row) row[j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  for (let i = 0, j = 0; i < before.length || j < after.length;) {
    const [old, now] = [before[i], after[j]];
    if (old !== undefined && old === now) {
      lines.push(`  ${old}`);
      i++;
      j++;
    } else if (old !== undefined && (now === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`- ${old}`);
      i++;
    } else {
      lines.push(`+ ${now ?? ''}`);
      j++;
    }
  }
  return lines;
}
