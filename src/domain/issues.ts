import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/**
 * One sentence for each issue. It begins with the path of the field: `output.quality: expected …, given …`. What was given
 * is shown where the parser keeps it (`reportInput`).
 */
export function describeIssues(issues: readonly Issue[], base: readonly PropertyKey[] = []): string[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `${[...path, key].join('.')}: unknown field`);
    }
    if (issue.code === 'invalid_union') {
      // The branch that got furthest explains best. For an object with a typo, "expected a string" would mislead.
      const furthest = issue.errors.find((branch) =>
        branch.every((inner) => inner.code !== 'invalid_type' || inner.path.length > 0),
      );
      if (furthest) return describeIssues(furthest, path);
      const types = issue.errors.flat().flatMap((inner) => (inner.code === 'invalid_type' ? [typeName(inner)] : []));
      if (types.length > 0) return [sentence(path, `expected ${[...new Set(types)].join(' or ')}`, issue.input)];
    }
    const words = issue.message.startsWith('expected ') ? undefined : wordsOf(issue);
    return [words === undefined ? sentence(path, issue.message, undefined) : sentence(path, words, issue.input)];
  });
}

function sentence(path: readonly PropertyKey[], words: string, given: unknown): string {
  const field = path.length === 0 ? '' : `${path.join('.')}: `;
  return `${field}${words}${given === undefined ? '' : `, given ${show(given)}`}`;
}

/** @returns undefined for an issue with words of our own */
function wordsOf(issue: Issue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeName(issue)}${issue.message.endsWith('received undefined') ? ', given nothing' : ''}`;
    case 'invalid_value':
      return `expected ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'too_big':
      return `expected ${countable(issue.origin, `at most ${issue.maximum}`)}`;
    case 'too_small':
      return `expected ${countable(issue.origin, `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`)}`;
    case 'invalid_format':
      return issue.format === 'datetime' ? 'expected a time such as 2026-12-01T12:00:00Z' : undefined;
    default:
      return undefined;
  }
}

const COUNTED: Readonly<Record<string, string>> = { string: ' characters', array: ' of them' };
const countable = (origin: string, bound: string) => `${bound}${COUNTED[origin] ?? ''}`;

const TYPES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};
const typeName = (issue: { readonly expected: string }) => TYPES[issue.expected] ?? issue.expected;

const MAX_SHOWN = 60;

/** A value as an error message shows it: JSON, shortened. What JSON cannot hold is shown by its type. */
export function show(given: unknown): string {
  const text = typeof given === 'number' ? String(given) : (jsonOf(given) ?? `a ${typeof given}`);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** @returns undefined for a function, a BigInt, a cycle, and whatever else JSON cannot hold */
function jsonOf(given: unknown): string | undefined {
  if (given instanceof Uint8Array) return `${given.length} bytes`;
  try {
    return JSON.stringify(given);
  } catch {
    return undefined;
  }
}
