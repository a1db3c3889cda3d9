import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/index.js';
import { completionSchema } from '../../src/domain/completion.js';
import { ERROR_CODES, ERRORS } from '../../src/domain/errors.js';
import { WARNINGS } from '../../src/domain/warnings.js';
import { JSON_SCHEMAS } from '../../src/domain/json-schemas.js';
import { jobSchema } from '../../src/domain/job.js';
import { FORMATS } from '../../src/pipeline/formats/index.js';

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const readme = read('README.md');

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

  it.each(ERROR_CODES)('the README tells of %s', (code) => expect(readme).toContain(`\`${code}\``));

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
    const [job, completion] = [...readme.matchAll(/```json\n([\s\S]*?)```/g)].map(
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
    for (const field of Object.keys(jobSchema.shape)) expect(readme).toMatch(new RegExp(`\`${field}[\`.]`));
  });
});
