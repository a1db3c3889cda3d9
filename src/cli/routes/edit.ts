/** One edit of the routes: read, change, check, and write under the precondition that nobody else has written. */
import { hostname, userInfo } from 'node:os';
import { type Command, Option } from 'commander';
import { readDocument } from '../../config/routes.js';
import { readConfig } from '../../config/index.js';
import { JobError } from '../../domain/errors.js';
import type { RoutesText } from '../../domain/ports.js';
import { parseRoutesDocument, type RoutesDocument, versionsIn } from '../../domain/routes.js';
import { changedModels, differences, entryOf, writeRoutes } from '../../domain/routes-edit.js';
import { print, printJson } from '../output.js';
import { CommandFailed, type Invocation, UsageError } from '../usage.js';
import { withTriton } from '../with-triton.js';
import { openRoutes, type OpenRoutes, readCurrent } from './open.js';
import { type Demand, demandServed, type ModelVersion } from './served.js';

export interface EditFlags {
  readonly note?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const MOST_NOTE = 500;

export const withEditOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--note <text>', 'the reason, for the history').argParser((text: string) => {
        if (text.length > MOST_NOTE) throw new UsageError(`--note: expected at most ${MOST_NOTE} characters`);
        return text;
      }),
    )
    .option('--force', 'write even if Triton does not serve a version, or does not answer')
    .option('--dry-run', 'only show what would change')
    .option('--json', 'print one JSON document');

export type Models = Pick<RoutesDocument, 'models'>;

export interface Made extends Models {
  /** Id of the former routes that come back. */
  readonly from?: string;
}

export interface Edit {
  /**
   * Makes the new routes.
   * @param current without models if there is no document yet
   * @throws UsageError, CommandFailed if the edit cannot be made
   */
  readonly make: (current: Models, open: OpenRoutes, generation: string | undefined) => Promise<Made> | Made;
  /** Whether a current document that is wrong may be replaced. */
  readonly mendsBroken?: boolean;
  readonly demand: Demand;
  /** What has been done, in words. */
  readonly done: (made: Made) => string;
}

export interface Edited {
  readonly place: string;
  /** Names of the models whose entries change. */
  readonly models: readonly string[];
  readonly differences: readonly string[];
  readonly dryRun: boolean;
  /** Id of the former routes that come back; null if these are new. */
  readonly from: string | null;
  /** Of the document before; null if there was none. */
  readonly before: string | null;
  /** Of the new document; null if nothing was written. */
  readonly generation: string | null;
}

/**
 * Makes an edit and prints it.
 * @throws CommandFailed if the routes have changed meanwhile, or a version is not served
 */
export async function editRoutes(invocation: Invocation, flags: EditFlags, edit: Edit): Promise<void> {
  const { made, done } = await make(invocation.env, flags, edit);
  if (flags.json) {
    printJson(done);
    return;
  }
  for (const line of done.differences) print(line);
  if (done.models.length === 0) print(`${done.place}: nothing changes`);
  else if (done.dryRun) print(`${done.place}: nothing was written (--dry-run)`);
  else print(`${edit.done(made)} (${done.place}, generation ${done.generation ?? ''})`);
}

async function make(env: NodeJS.ProcessEnv, flags: EditFlags, edit: Edit): Promise<{ made: Made; done: Edited }> {
  const open = openRoutes(env);
  const { place } = open;
  const triton = flags.force ? undefined : readConfig(env, ['tritonUrl']).tritonUrl;
  const former = await readCurrent(open);
  const current = former && currentModels(place, former.text, edit.mendsBroken ?? false);
  const before = current ?? { models: {} };
  const made = checked(await edit.make(before, open, former?.generation));
  const models = changedModels(before, made);
  const done = {
    ...{ place, models, differences: differences(before, made), dryRun: flags.dryRun ?? false },
    ...{ from: made.from ?? null, before: former?.generation ?? null, generation: null },
  };
  if (models.length === 0 && current !== undefined) return { made, done };
  if (triton !== undefined) {
    await withTriton({ url: triton }, (server) => demandServed(server, triton, namedBy(made, models), edit.demand));
  }
  if (flags.dryRun) return { made, done };
  const { note } = flags;
  const change = { by: writer(), at: new Date().toISOString(), ...(note === undefined ? {} : { note }) };
  return { made, done: { ...done, generation: await write(open, writeRoutes(made, change), former) } };
}

/** @throws UsageError for routes that no worker would take, such as those of a model with an impossible name */
function checked(made: Made): Made {
  try {
    parseRoutesDocument(JSON.stringify({ models: made.models }));
    return made;
  } catch (thrown) {
    throw new UsageError((thrown as Error).message);
  }
}

/** @returns undefined for a wrong document that may be replaced. @throws ConfigError */
function currentModels(place: string, text: string, mendsBroken: boolean): Models | undefined {
  if (!mendsBroken) return readDocument(place, text);
  try {
    return parseRoutesDocument(text);
  } catch {
    return undefined; // the new document mends it
  }
}

const namedBy = (routes: Models, models: readonly string[]): ModelVersion[] =>
  models.flatMap((model) => {
    const entry = entryOf(routes, model);
    return entry ? versionsIn(entry).map((version) => ({ model, version })) : [];
  });

/** @returns the new generation */
async function write(open: OpenRoutes, text: string, former: RoutesText | undefined): Promise<string> {
  const written = await open.store.write(text, former, open.signal).catch(async (thrown: unknown) => {
    if (!(thrown instanceof JobError)) throw thrown;
    // The answer may have been lost on its way.
    const now = await readCurrent(open).catch(() => undefined);
    if (now?.text === text) return { kind: 'written' as const, generation: now.generation };
    throw thrown;
  });
  if (written.kind === 'written') return written.generation;
  throw new CommandFailed(
    `${open.place}: it has changed meanwhile, so nothing was written. Look at it (imagen routes show), and run this again.`,
  );
}

/** `user@host`, for the history. */
function writer(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `${process.getuid?.() ?? 'unknown'}@${hostname()}`; // a container's user may have no name
  }
}
