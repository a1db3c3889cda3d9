/** Every command of ours in the documentation is one that the command line takes. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { allCommands } from '../../../src/cli/index.js';
import { pages, simpleCommands } from '../../support/documentation.js';

const { scripts } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
};
const found = pages();
/** Words after `imagen`, where a command is one of ours. */
const ours = (line: string): string[][] =>
  simpleCommands(line).flatMap((words) => {
    const at = words.indexOf('imagen');
    const before = words.slice(0, Math.max(at, 0)).join(' ');
    return at >= 0 && (before === '' || before === 'npx' || before.endsWith(' --')) ? [words.slice(at + 1)] : [];
  });

/** Parses as the program does, and runs nothing. @throws CommanderError */
async function parse(words: readonly string[]): Promise<void> {
  const [name, ...rest] = words;
  const command = (await allCommands({ env: {}, exitCode: 0 })).find((one) => one.name() === name);
  if (!command) throw new Error(`no command ${String(name)}`);
  for (const one of [command, ...command.commands]) quiet(one);
  await command.parseAsync(rest, { from: 'user' });
}

const quiet = (command: Command) =>
  command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
    .action(() => undefined);

describe('a command in the documentation', () => {
  const shown = found.flatMap(({ blocks }) =>
    blocks.flatMap(({ place, commands }) =>
      commands.flatMap(ours).map((words) => [place, words.join(' '), words] as const),
    ),
  );

  it('is found', () => expect(shown.length).toBeGreaterThan(40));

  it.each(shown)('is taken (%s): imagen %s', (_place, _line, words) => parse(words));

  const told = found.flatMap(({ file, inline }) =>
    inline.flatMap((code) => ours(code).map((words) => [file, words.join(' '), words] as const)),
  );

  it.each(told)('has the flags that a sentence gives it (%s): imagen %s', async (_file, _line, [name, ...rest]) => {
    if (name === undefined || name.startsWith('-')) return;
    const command = (await allCommands({ env: {}, exitCode: 0 })).find((one) => one.name() === name);
    if (!command) {
      expect(name, 'a command').toMatch(/^(-|[A-Z])/);
      return;
    }
    const sub = command.commands.find((one) => one.name() === rest[0]);
    const flags = [command, ...(sub ? [sub] : [])].flatMap(({ options }) =>
      options.flatMap(({ short, long }) => [short, long]),
    );
    const used = rest.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.replace(/=.*/, ''));
    expect([...flags, '--help', '-h']).toEqual(expect.arrayContaining(used));
  });

  const runs = found.flatMap(({ file, blocks, inline }) => {
    const lines = [...blocks.flatMap(({ commands }) => commands), ...inline];
    return lines.flatMap(simpleCommands).flatMap(([first, ...words]) => {
      if (first !== 'npm' || words[0] !== 'run') return [];
      return [[file, words.slice(1).find((word) => !word.startsWith('-')) ?? ''] as const];
    });
  });

  it.each(runs)('is a script of the package (%s): npm run %s', (_file, name) =>
    expect(Object.keys(scripts)).toContain(name),
  );
});
