import { Command, Option } from 'commander';
import { parseRoutesDocument, type RoutesChange, type RoutesDocument } from '../../domain/routes.js';
import { changedModels } from '../../domain/routes-edit.js';
import { wholeNumber } from '../job-filter.js';
import { print, printJson } from '../output.js';
import { CommandFailed, type Invocation, withHelp } from '../usage.js';
import { editRoutes, type EditFlags, type Models, withEditOptions } from './edit.js';
import { openRoutes, type OpenRoutes, readCurrent } from './open.js';

const LIMIT = 20;

/** A document that was in force, and which models it said other things of than the one after it. */
interface Former {
  readonly id: string;
  /** Who wrote it, when and why; null if it does not say. */
  readonly change: RoutesChange | null;
  /** Null if it or the one after it is not a document of routes. */
  readonly differs: readonly string[] | null;
}

export function historyCommand(invocation: Invocation): Command {
  const command = new Command('history')
    .description('list the former routes, the newest first')
    .addOption(new Option('--limit <n>', 'most of them to list').argParser(wholeNumber(1, 1_000)).default(LIMIT))
    .option('--json', 'print one JSON document')
    .action(async ({ limit, json }: { readonly limit: number; readonly json?: boolean }) => {
      const open = openRoutes(invocation.env);
      const formers = await readFormers(open, limit);
      if (json) printJson({ place: open.place, formers });
      else if (formers.length === 0) print(`${open.place}: there are no former routes`);
      else for (const former of formers) print(inWords(former));
    });
  return withHelp(command, ['routes history', 'routes history --limit 100 --json'], { 1: 'storage does not answer' });
}

export function restoreCommand(invocation: Invocation): Command {
  const command = withEditOptions(
    new Command('restore')
      .description('restore former routes, of all models at once')
      .argument('<id>', 'as `imagen routes history` shows it'),
  ).action((id: string, flags: EditFlags) =>
    editRoutes(invocation, flags, {
      make: async (_, open) => ({ models: (await formerDocument(open, id)).models, from: id }),
      mendsBroken: true,
      demand: 'one replica',
      done: () => `the routes are those of ${id} again`,
    }),
  );
  return withHelp(
    command,
    ['routes restore 1795827307838562 --dry-run', 'routes restore 000002-0f343b0931126a20 --note "x4plus is too slow"'],
    { 1: 'nothing was written: there is no such id, they have changed meanwhile, or Triton does not serve a version' },
  );
}

async function formerDocument(open: OpenRoutes, id: string): Promise<Models> {
  const text = await open.store.former(id, open.signal);
  const document = text === undefined ? undefined : documentIn(text);
  if (document) return document;
  throw new CommandFailed(
    text === undefined
      ? `${open.place}: there are no former routes ${id} (imagen routes history lists them)`
      : `${open.place}: the former routes ${id} were wrong, and cannot be used`,
  );
}

/** @returns undefined if it is wrong, which the history does not prevent: others than `imagen routes` may write the routes */
function documentIn(text: string): RoutesDocument | undefined {
  try {
    return parseRoutesDocument(text);
  } catch {
    return undefined;
  }
}

async function readFormers(open: OpenRoutes, limit: number): Promise<Former[]> {
  const current = await readCurrent(open);
  const ids = await open.store.history(current?.generation, open.signal);
  const formers: Former[] = [];
  let after = current && documentIn(current.text);
  for (const id of ids.slice(0, limit)) {
    const text = await open.store.former(id, open.signal);
    const document = text === undefined ? undefined : documentIn(text);
    formers.push({
      ...{ id, change: document?.change ?? null },
      differs: document && after ? changedModels(document, after) : null,
    });
    after = document;
  }
  return formers;
}

function inWords({ id, change, differs }: Former): string {
  const by = change ? `${change.at} by ${change.by}` : 'author unknown';
  const what = differs === null ? 'not comparable' : `before a change of ${differs.join(', ') || 'no model'}`;
  return `${id}  ${by}, ${what}${change?.note === undefined ? '' : `: ${change.note}`}`;
}

/**
 * The newest former document that says something else of a model than the current one.
 * @throws CommandFailed if there is none; JobError
 */
export async function beforeLastChange(
  open: OpenRoutes,
  generation: string | undefined,
  agrees: (former: RoutesDocument) => boolean,
): Promise<{ readonly id: string; readonly document: RoutesDocument } | undefined> {
  for (const id of await open.store.history(generation, open.signal)) {
    const text = await open.store.former(id, open.signal);
    const document = text === undefined ? undefined : documentIn(text);
    if (document && !agrees(document)) return { id, document };
  }
  return undefined;
}
