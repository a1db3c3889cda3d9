/** The commands that the documentation shows. */
import { readdirSync, readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url).pathname;

/** A fenced block of a shell. */
export interface Block {
  /** `docs/jobs.md, Find`: the page, and the heading above the block. */
  readonly place: string;
  /** Commands as they are typed: comments are cut off, and continued lines are joined. */
  readonly commands: readonly string[];
}

export interface Page {
  readonly file: string;
  readonly blocks: readonly Block[];
  /** Code within sentences. */
  readonly inline: readonly string[];
}

/** Every page of the repository. */
export function pages(): Page[] {
  const inFolder = (folder: string) =>
    readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`);
  const files = [...readdirSync(root), ...['docs', 'triton', 'k8s'].flatMap(inFolder)].filter((file) =>
    file.endsWith('.md'),
  );
  // What has changed speaks of commands that are no longer there.
  return files
    .filter((file) => file !== 'CHANGELOG.md')
    .map((file) => pageOf(file, readFileSync(`${root}${file}`, 'utf8')));
}

function pageOf(file: string, text: string): Page {
  const blocks: Block[] = [];
  const prose: string[] = [];
  let heading = '';
  let fence: { isShell: boolean; lines: string[] } | undefined;
  for (const line of text.split('\n')) {
    const [, language] = /^ *```(\w*)/.exec(line) ?? [];
    if (language === undefined) {
      if (fence) fence.lines.push(line);
      else prose.push(line);
      if (!fence) heading = /^#+ (.*)/.exec(line)?.[1] ?? heading;
    } else if (fence) {
      if (fence.isShell) blocks.push({ place: `${file}, ${heading}`, commands: commandsOf(fence.lines) });
      fence = undefined;
    } else fence = { isShell: ['sh', 'bash', 'console'].includes(language), lines: [] };
  }
  const inline = [...prose.join('\n').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replaceAll(/\s+/g, ' '));
  return { file, blocks, inline };
}

function commandsOf(lines: readonly string[]): string[] {
  const joined = lines.join('\n').replaceAll(/\\\n\s*/g, '');
  return joined
    .split('\n')
    .map((line) => line.replace(/(^|\s)# .*$/, '').trim())
    .filter((line) => line !== '');
}

/**
 * The simple commands of a line, as lists of words: what stands between `;`, `&`, `&&`, `|` and `||`, without variables set before
 * it. What a substitution, `$(…)`, would give is one word.
 */
export function simpleCommands(line: string): string[][] {
  const words = line.match(/\$\([^)]*\)|'[^']*'|"[^"]*"|[;&|]+|[^\s;&|'"]+(?:"[^"]*"|'[^']*'|[^\s;&|'"])*/g) ?? [];
  const found: string[][] = [[]];
  for (const word of words) {
    if (/^[;&|]+$/.test(word)) found.push([]);
    else if (found.at(-1)?.length !== 0 || !/^\w+=/.test(word)) found.at(-1)?.push(word.replaceAll(/^['"]|['"]$/g, ''));
  }
  return found.filter((command) => command.length > 0);
}
