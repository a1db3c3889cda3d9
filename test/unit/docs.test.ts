import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CHECKS } from '../../src/cli/doctor/checks.js';
import { SETTINGS } from '../../src/config/index.js';
import { completionSchema } from '../../src/domain/completion.js';
import { ERROR_CODES, ERRORS } from '../../src/domain/errors.js';
import { WARNINGS } from '../../src/domain/warnings.js';
import { JSON_SCHEMAS } from '../../src/domain/json-schemas.js';
import { jobSchema } from '../../src/domain/job.js';
import { FORMATS } from '../../src/pipeline/formats/index.js';

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const messages = read('docs/messages.md');

const pagesWithLinks = [
  ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'triton/README.md', 'k8s/README.md'],
  ...['docs', 'docs/runbooks', 'docs/decisions'].flatMap((folder) =>
    readdirSync(new URL(`../../${folder}`, import.meta.url))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  ),
];

/** Anchors as GitHub makes them of headings. */
const headingsOf = (text: string) =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe('the documents keep up with the code', () => {
  it.each(Object.values(SETTINGS).map(({ name, about, fallback }) => ({ name, about, fallback })))(
    'docs/configuration.md tells of $name',
    ({ name, about, fallback }) => {
      const shown = fallback === undefined ? 'required' : fallback === null || fallback === '' ? 'unset' : null;
      const row = read('docs/configuration.md')
        .split('\n')
        .find((line) => line.startsWith(`| \`${name}\` `));
      expect(row).toContain(about.replaceAll('|', '\\|'));
      if (shown) expect(row).toContain(shown);
    },
  );

  it('docs/errors.md has each code in a row of its own, with cause and cure, and no other', () => {
    const rows = [...read('docs/errors.md').matchAll(/^\| `(\w+)` +\| (\S.+?) +\| (\S.+?) +\|$/gm)];
    expect(rows.map(([, code]) => code)).toEqual(ERROR_CODES);
  });

  it('docs/operations.md tells of every check of `imagen doctor`, in their order', () => {
    const table = read('docs/operations.md').split('## What is wrong')[1]?.split('\n## ')[0] ?? '';
    const told = [...table.matchAll(/^\| `([\w.-]+)` +\| \S/gm)].map(([, name]) => name);
    expect(told).toEqual(CHECKS.map(({ name }) => name));
  });

  it('docs/README.md leads to every page', () => {
    const index = read('docs/README.md');
    const pages = readdirSync(new URL('../../docs', import.meta.url)).filter((name) => name.endsWith('.md'));
    for (const page of pages.filter((name) => name !== 'README.md')) expect(index).toContain(`](${page}`);
  });

  it('the README fits on three screens', () => expect(read('README.md').split('\n').length).toBeLessThanOrEqual(150));

  it.each(pagesWithLinks)('%s links to pages and headings that exist', (page) => {
    const folder = new URL('.', new URL(`../../${page}`, import.meta.url));
    for (const [, target = ''] of read(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [path = '', heading] = target.split('#');
      const file = path === '' ? new URL(`../../${page}`, import.meta.url) : new URL(path, folder);
      expect(existsSync(file), `${page} links to ${target}`).toBe(true);
      if (heading !== undefined)
        expect(headingsOf(readFileSync(file, 'utf8')), `${page}: ${target}`).toContain(heading);
    }
  });

  it('docs/failures.md has every code in the row of its verdict', () => {
    const rows = [...read('docs/failures.md').matchAll(/^\| `([a-z-]+)` +\|[^|]+\| (.+?) +\|$/gm)];
    const told = new Map(rows.map(([, verdict = '', codes = '']) => [verdict, codes.split(', ').sort()]));
    for (const verdict of new Set(ERROR_CODES.map((code) => ERRORS[code].verdict))) {
      const codes = ERROR_CODES.filter((code) => ERRORS[code].verdict === verdict).map((code) => `\`${code}\``);
      expect(told.get(verdict)).toEqual(codes.sort());
    }
  });

  it.each(Object.values(WARNINGS))('docs/pixels.md and the schema of completions tell of the warning: %s', (text) => {
    expect(read('docs/pixels.md')).toContain(`| \`${text}\``);
    expect(read('docs/schemas/completion.json')).toContain(text);
  });

  it('docs/pixels.md lists no other warnings', () => {
    const table = read('docs/pixels.md').split('## Warnings')[1]?.split('\n## ')[0] ?? '';
    const listed = [...table.matchAll(/^\| `([^`]+)` /gm)].map(([, text]) => text);
    expect(listed.sort()).toEqual(Object.values(WARNINGS).sort());
  });

  it.each(Object.values(FORMATS))('docs/pixels.md tells of the longest side: $extension', ({ maxSide }) =>
    expect(read('docs/pixels.md')).toContain(`| ${maxSide.toLocaleString('en')} `),
  );

  it('shows a job and a completion that the schemas accept', () => {
    const [job, completion] = [...messages.matchAll(/```json\n([\s\S]*?)```/g)].map(
      ([, text = '']) => JSON.parse(text) as unknown,
    );
    expect(jobSchema.safeParse(job).error).toBeUndefined();
    expect(completionSchema.safeParse(completion).error).toBeUndefined();
  });

  it.each(['job', 'completion', 'group'] as const)(
    'keeps docs/schemas/%s.json as `imagen schema` prints it',
    (name) => {
      expect(JSON.parse(read(`docs/schemas/${name}.json`))).toEqual(JSON.parse(JSON.stringify(JSON_SCHEMAS[name]())));
    },
  );

  it('tells of every field of a job', () => {
    for (const field of Object.keys(jobSchema.shape)) expect(messages).toMatch(new RegExp(`\`${field}[\`.]`));
  });
});
