import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { describeOperations, operationsOf } from '../../../src/cli/operations.js';
import { baseOf, expand, patternOf } from '../../../src/cli/pictures/glob.js';
import { itemsOf } from '../../../src/cli/pictures/items.js';
import { parseCsv, readManifest } from '../../../src/cli/pictures/manifest.js';
import { createTeller, timeOf } from '../../../src/cli/pictures/progress.js';
import { checkReport, reportFile, reportOf, type Row, summary } from '../../../src/cli/pictures/report.js';
import type { Job } from '../../../src/domain/job.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagen-many-'));
  for (const name of ['a.png', 'a.jpg', 'sub/b.JPEG', 'sub/deep/c.webp', 'sub/notes.txt', '.hidden.png', 'out/x.png']) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), 'x');
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the operations of the command line', () => {
  it('have versions and parameters, which are numbers and booleans where they look like it', () => {
    const param = ['strength=0.5', 'upscale.mode=fast', 'upscale.strict=true', 'strength.x=01'];
    expect(operationsOf({ operation: ['upscale@2'], param })).toEqual([
      { model: 'upscale', version: '2', parameters: { strength: 0.5, mode: 'fast', strict: true, 'strength.x': '01' } },
    ]);
    expect(operationsOf({ operation: ['a', 'a.b'], param: ['a.b.c=1', 'a.x=-2e3'] })).toEqual([
      { model: 'a', parameters: { x: -2000 } },
      { model: 'a.b', parameters: { c: 1 } },
    ]);
    const job = { operations: [{ model: 'upscale', version: '9' }, { model: 'enhance' }] } as unknown as Job;
    expect(describeOperations(job)).toBe('upscale@9 → enhance');
  });
});

it('is refused as the place of a report where it is a folder or the manifest', () => {
  const manifest = join(folder, 'jobs.csv');
  writeFileSync(manifest, 'input\n');
  mkdirSync(join(folder, 'folder.json'));
  expect(() => checkReport(manifest, [join(folder, 'sub', '..', 'jobs.csv')])).toThrow(
    /input, which would be overwritten/,
  );
  expect(() => checkReport(join(folder, 'folder.json'), [manifest])).toThrow(/expected a file, given a folder/);
  expect(() => checkReport(join(folder, 'no', 'a.json'), [manifest])).toThrow(/there is no folder/);
  expect(() => checkReport(join(folder, 'new.csv'), [manifest, 'gs://in/a.png'])).not.toThrow();
  rmSync(manifest);
  rmSync(join(folder, 'folder.json'), { recursive: true });
});

describe('the pictures that arguments stand for', () => {
  const told = (args: string[], out?: string) => {
    const { items, leftOut } = itemsOf(
      args.map((arg) => (arg.startsWith('gs:') ? arg : join(folder, arg))),
      out && join(folder, out),
    );
    return [
      items.map(({ input, out: name }) => [input.startsWith('gs:') ? input : relative(folder, input), name]),
      leftOut,
    ];
  };

  it('are all of a folder but what is hidden, no picture, or a result', () => {
    const all = [
      ['a.jpg', 'a.jpg'],
      ['a.png', 'a.png'],
      ['sub/b.JPEG', 'sub/b'],
      ['sub/deep/c.webp', 'sub/deep/c'],
    ];
    expect(told(['.'], 'out')).toEqual([all, 1]);
    expect(told(['sub'])).toEqual([
      [
        ['sub/b.JPEG', 'b'],
        ['sub/deep/c.webp', 'deep/c'],
      ],
      1,
    ]);
  });

  it('are files, addresses, and what a glob matches below its first wildcard', () => {
    expect(told(['a.png', 'gs://in/x/a.png', 'sub/**/*.{webp,txt}'])).toEqual([
      [
        ['a.png', 'a.png'],
        ['gs://in/x/a.png', 'a-2'],
        ['sub/deep/c.webp', 'deep/c'],
        ['sub/notes.txt', 'notes'],
      ],
      0,
    ]);
    expect(expand(join(folder, 'nothing*'))).toEqual([]);
  });

  it.each([
    ['*.png', 'a.png', true],
    ['*.png', 'b/a.png', false],
    ['**/*.png', 'a.png', true],
    ['**/*.png', 'b/c/a.png', true],
    ['a?[0-9].{png,jpg}', 'ax7.jpg', true],
    ['a?[!0-9].{png,jpg}', 'ax7.jpg', false],
    ['a+(b).png', 'a+(b).png', true],
    ['a,b}.png', 'a,b}.png', true],
    ['b/**', 'b/c/d', true],
  ])('reads the glob %s: %s is %s', (glob, path, matches) => expect(patternOf(glob).test(path)).toBe(matches));

  it.each([
    ['a/b/*.png', 'a/b'],
    ['/x/*', '/x'],
    ['/*', '/'],
    ['*.png', '.'],
  ])('knows the base of %s', (glob, base) => expect(baseOf(glob)).toBe(base));
});

describe('a manifest', () => {
  it('is JSON or CSV, with paths relative to it', () => {
    const json = join(folder, 'm.jsonl');
    writeFileSync(
      json,
      '\uFEFF{"input":"a.png","out":"x/y","operations":["e"],"metadata":{"k":1}}\n\n{"input":"gs://in/b"}\n',
    );
    expect(readManifest(json)).toEqual([
      { at: `${json}:1`, input: join(folder, 'a.png'), out: 'x/y', wish: { operations: ['e'], metadata: { k: 1 } } },
      { at: `${json}:3`, input: 'gs://in/b', wish: {} },
    ]);
    const csv = join(folder, 'm.csv');
    writeFileSync(
      csv,
      'input,operations,output.format,output.quality,jobId\r\n"a, b.png",e u@2,webp,80,\r\na.png,,,,"j""1"\r\n',
    );
    expect(readManifest(csv)).toEqual([
      {
        at: `${csv}:2`,
        input: join(folder, 'a, b.png'),
        wish: { operations: ['e', { model: 'u', version: '2' }], output: { format: 'webp', quality: 80 } },
      },
      { at: `${csv}:3`, input: join(folder, 'a.png'), wish: { jobId: 'j"1' } },
    ]);
    expect(() => readManifest(join(folder, 'none.csv'))).toThrow(/none\.csv: ENOENT/);
    writeFileSync(csv, '\n');
    expect(() => readManifest(csv)).toThrow(/expected at least one picture/);
  });

  it('keeps relative paths relative', () => {
    const manifest = join(relative(process.cwd(), folder), 'relative.jsonl');
    writeFileSync(manifest, '{"input":"sub/b.JPEG"}\n');
    expect(readManifest(manifest)[0]?.input).toBe(join(relative(process.cwd(), folder), 'sub/b.JPEG'));
  });

  it.each(['a,b\n1,"2\n3,4\n', 'a,b\n1,x"2"\n', 'a,b\n1,"2"x\n'])('refuses a wrong quote with its line: %j', (text) =>
    expect(() => parseCsv(text, 'm.csv')).toThrow(/^m\.csv:2: expected quotes around a whole cell/),
  );

  it('keeps an empty cell at its end', () => {
    expect(parseCsv('a,b\n1,', 'm.csv')[1]).toEqual({ cells: ['1', ''], line: 2 });
  });

  it('keeps the lines of its rows, also after a cell of two lines', () => {
    const rows = parseCsv('a,b\n"1\n2",x\n\n,\n3,y', 'm.csv');
    expect(rows).toEqual([
      { cells: ['a', 'b'], line: 1 },
      { cells: ['1\n2', 'x'], line: 2 },
      { cells: ['3', 'y'], line: 6 },
    ]);
  });
});

describe('the report', () => {
  const rows: Row[] = [
    { input: 'a.png', outcome: 'succeeded', jobId: 'a-1', published: false, output: 'gs://o/a', totalMs: 12 },
    { input: 'b.png', outcome: 'succeeded', jobId: 'b-1', published: true },
    {
      input: 'c, "d".png',
      outcome: 'failed',
      jobId: 'c-1',
      published: true,
      code: 'INPUT_CORRUPT',
      message: 'line\nline',
    },
    { input: 'e.png', outcome: 'not done' },
  ];
  const report = reportOf(rows, new Date(Date.now() - 1500), true);

  it('counts and sums up', () => {
    expect(report).toMatchObject({
      counts: { succeeded: 2, failed: 1, 'not done': 1 },
      interrupted: true,
      seconds: 1.5,
    });
    expect(summary(report).split('\n')).toEqual([
      'succeeded             2  1 submitted before',
      'failed INPUT_CORRUPT  1  e.g. c, "d".png',
      'not done              1  e.g. e.png',
    ]);
    expect(JSON.parse(reportFile('r.json', report))).toEqual(JSON.parse(JSON.stringify(report)));
  });

  it('is a CSV that its own reader reads', () => {
    const [head, , , third] = parseCsv(reportFile('r.csv', report), 'r.csv');
    expect(third?.cells.slice(0, 6)).toEqual(['c, "d".png', 'failed', 'c-1', 'true', 'INPUT_CORRUPT', 'line\nline']);
    expect(head?.cells).toContain('saved');
  });
});

describe('control characters', () => {
  const rows: Row[] = [{ input: 'a\u001b[31m\n.png', outcome: 'refused', code: 'X', message: 'b\u0007\u009bm\r\nc' }];
  const report = reportOf(rows, new Date(), false);

  it('are escaped in the summary and in progress', () => {
    expect(summary(report)).toBe('refused X  1  e.g. a\\x1b[31m\\n.png');
    let text = '';
    const teller = createTeller(1, true, { write: (more: string) => (text += more) });
    teller.line('a\u001b[31m\n.png');
    teller.end();
    expect(text).toBe('a\\x1b[31m\\n.png\n');
  });

  it('are escaped in a CSV, but for line breaks in quotes', () => {
    expect(reportFile('r.csv', report).split('totalMs\r\n')[1]).toBe(
      '"a\\x1b[31m\n.png",refused,,,X,"b\\x07\\x9bm\r\nc",,,\r\n',
    );
  });
});

describe('the progress', () => {
  const counts = { taken: 0, published: 0, before: 0, refused: 0, succeeded: 0, failed: 0 };

  it('is a bar on a terminal, above which failures stay', () => {
    let [text, now] = ['', 0];
    const screen = { isTTY: true, columns: 100, write: (more: string) => (text += more) };
    const teller = createTeller(100, true, screen, () => now);
    now = 10_000;
    teller.update({ ...counts, published: 80, succeeded: 49, failed: 1 });
    expect(text).toBe('\r\u001b[K[############............] 50/100  5.0 jobs/s  10 s left  1 failed  80 published');
    text = '';
    teller.update({ ...counts, succeeded: 60 }); // too soon
    teller.line('failed');
    teller.end();
    expect(text).toBe('\r\u001b[Kfailed\n');
  });

  it('is a line every five seconds, also without progress', () => {
    vi.useFakeTimers();
    let text = '';
    const teller = createTeller(10, true, { write: (more: string) => (text += more) });
    vi.advanceTimersByTime(11_000);
    teller.end();
    vi.advanceTimersByTime(11_000);
    vi.useRealTimers();
    expect(text).toBe('0/10  0.0 jobs/s\n0/10  0.0 jobs/s\n');
  });

  it('is a line now and then where there is no terminal', () => {
    let [text, now] = ['', 0];
    const teller = createTeller(10, false, { write: (more: string) => (text += more) }, () => now);
    teller.update({ ...counts, published: 1 });
    now = 5_000;
    teller.update({ ...counts, published: 5, before: 4, refused: 1 });
    expect(text).toBe('10/10  2.0 jobs/s  1 failed\n');
    expect([59.2, 61, 3661].map(timeOf)).toEqual(['1 min 0 s', '1 min 1 s', '1 h 1 min']);
  });
});
