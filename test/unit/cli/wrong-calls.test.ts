/** What `submit`, `process` and `cancel` refuse before they do anything: nothing here needs a network. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { run } from '../../../src/cli/index.js';

const env = {
  GOOGLE_CLOUD_PROJECT: 'p',
  PUBSUB_EMULATOR_HOST: '127.0.0.1:1',
  STORAGE_EMULATOR_HOST: '127.0.0.1:1',
  TRITON_URL: '127.0.0.1:1',
  IMAGEN_STATE_PREFIX: 'gs://state',
  IMAGEN_UPLOAD_PREFIX: 'gs://uploads',
  IMAGEN_MAX_INPUT_BYTES: '100',
};
const PNG = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

describe('a wrong call', { timeout: 20_000 }, () => {
  let folder: string;
  const at = (name: string) => join(folder, name);

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'imagen-calls-'));
    for (const name of ['a.png', 'dir/b.png', 'c,.csv']) {
      mkdirSync(join(folder, 'dir'), { recursive: true });
      writeFileSync(at(name), PNG);
    }
    writeFileSync(at('empty.png'), '');
    writeFileSync(at('text.jpg'), 'No picture.\n');
    writeFileSync(at('archive.png'), Buffer.from('PK\x03\x04 and so on', 'latin1'));
    writeFileSync(at('huge.png'), Buffer.concat([PNG, Buffer.alloc(200)]));
    writeFileSync(at('bad.jsonl'), '{"input":"a.png"}\n{"input":"a.png","input":"b.png"}\n');
    writeFileSync(at('bad.csv'), 'input,colour\na.png,red\n');
    writeFileSync(at('gif.jsonl'), '{"input":"a.png"}\n{"input":"a.png","output":{"format":"gif"}}\n');
    writeFileSync(at('quality.csv'), 'input,output.quality\na.png,abc\n');
    writeFileSync(at('late.csv'), 'input,deadline\na.png,2020-01-01T00:00:00Z\n');
    writeFileSync(at('quote.csv'), 'input,out\na.png,b\n"a.png,c\n');
    writeFileSync(at('short.csv'), 'input,out\na.png\n');
    symlinkSync(at('a.png'), at('link.png'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** @param args `@name` stands for a path in the folder */
  async function call(...args: string[]) {
    const said: string[] = [];
    const listen = (line: unknown) => void said.push(String(line));
    const spies = [
      vi.spyOn(console, 'error').mockImplementation(listen),
      vi.spyOn(console, 'log').mockImplementation(listen),
    ];
    const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => (said.push(String(text)), true));
    try {
      const code = await run(['node', 'imagen', ...args.map((arg) => arg.replace(/^@/, `${folder}/`))], env);
      return { code, said: said.join('\n') };
    } finally {
      for (const spy of [...spies, write]) spy.mockRestore();
    }
  }

  it.each([
    // What is no picture that a worker reads.
    ['submit @nowhere.png -p x', /nowhere\.png: there is no such file/],
    ['submit @empty.png -p x', /empty\.png has no bytes/],
    ['submit @text.jpg -p x', /text\.jpg: expected JPEG, PNG, WebP, AVIF, TIFF or GIF, given text/],
    ['submit @archive.png -p x', /given a ZIP archive/],
    ['submit @huge.png -p x', /huge\.png: expected at most 100 bytes, given 208/],
    ['process @dir -p x -o @o.png', /-o: expected a single picture, given several: use --out/],
    ['process @dir -p x --out @dir', /--out .*: expected another folder than that of the pictures/],
    ['process @empty.png -p x -o @o.png', /has no bytes/],
    ['process @huge.png -p x -o @o.png', /expected at most 100 bytes, given 208/],
    ['process gs://in/a.png -p x -o @o.png', /expected a local file; `imagen submit` takes/],
    // Flags are named as flags.
    ['submit @a.png -p x --quality high', /--quality: expected a number, given "high"/],
    ['submit @a.png -p x --quality 101', /--quality: expected at most 100, given 101/],
    ['submit @a.png -p x --max-width 0', /--max-width: expected at least 1, given 0/],
    ['submit @a.png -p x --background red', /--background: expected a colour "#rrggbb"/],
    ['submit @a.png -p x --deadline soon', /--deadline: expected a time such as .*, given "soon"/],
    ['submit @a.png -p x --deadline 2020-01-01T00:00:00Z', /--deadline: expected a time to come, given 2020/],
    ['submit @a.png -p x --wait --no-wait', /--wait and --no-wait: expected one of them, given both/],
    ['submit @a.png -p x --no-wait --wait', /--wait and --no-wait: expected one of them, given both/],
    ['submit @a.png -p x --timeout long', /--timeout: expected a number, given "long"/],
    ['submit @a.png -p x --job-id a/b', /--job-id: expected 1 to 128 characters/],
    ['submit @a.png -p x --output-uri http://x', /--output-uri: expected gs:/],
    [
      'submit @a.png -p x --output-uri gs://o/a --output-prefix gs://o',
      /--output-uri and --output-prefix: expected either/,
    ],
    ['submit @a.png -p x,y@0', /--operation: expected a version number/],
    ['submit @a.png -p x --metadata {"a":1,"a":2}', /--metadata: a is given twice/],
    ['submit @a.png -p x --metadata 7', /--metadata: expected an object, given 7/],
    ['submit @a.png -p x --redrive-of a --job-id b', /--redrive-of: expected none/],
    ['submit @a.png -p x --group-total 3', /--group-total needs --group/],
    ['submit @a.png -p x --tenant a/b', /--tenant: expected 1 to 128 characters/],
    ['submit @a.png -p x --group a/b', /--group: expected 1 to 128 characters/],
    ['submit @a.png -p x --param strength', /--param: expected NAME=VALUE/],
    ['submit @a.png -p x,y --param s=1', /--param s: expected the operation's name before it: x\.s or y\.s/],
    ['submit @a.png -p x --param s=1 --param x.s=2', /--param: s is given twice/],
    ['submit @a.png -p x --no-wait --wait-seconds 5', /--wait-seconds: expected no --no-wait/],
    ['submit @a.png -p x --wait-seconds never', /--wait-seconds: expected a number of seconds/],
    // Output files.
    ['submit @a.png -p x -o @o.png', /-o: expected --wait/],
    ['submit @a.png -p x --wait -o @nowhere/o.png', /-o .*o\.png: there is no folder .*nowhere/],
    ['submit @a.png -p x --wait -o @dir', /-o .*dir: expected a file, given a folder/],
    ['submit @a.png -p x --wait -o @o.gif', /-o .*o\.gif: expected a name that ends with \.png, \.jpg, \.webp, \.avif/],
    ['submit @a.png -p x --wait -o @o.webp --format png', /the name says webp, and --format png/],
    [
      'submit @a.png -p x --wait -o @o.png --quality 80',
      /--quality: expected JPEG, WebP or AVIF, because png has no quality/,
    ],
    ['submit @a.png -p x --wait -o @a.png', /expected another file than the input/],
    ['submit @a.png -p x --wait -o @link.png', /expected another file than the input/],
    ['submit @a.png -p x --wait -o - --json', /-o -: expected a file, because --json prints/],
    ['process @a.png -p x -o @a.png', /expected another file than the input/],
    ['process @a.png -p x -o @o.tif', /expected a name that ends with/],
    ['process @a.png -p x -o /proc/none/o.png', /there is no folder/],
    // Several pictures.
    ['submit @dir -p x --job-id a', /--job-id: expected a single picture, given several/],
    ['submit @dir -p x -o @o.png', /-o: expected a single picture, given several: use --out/],
    ['submit @dir -p x --out @dir', /--out .*: expected another folder than that of the pictures/],
    ['submit @dir -p x --out @a.png', /--out .*: expected a folder, given a file/],
    ['submit @dir -p x --out @o --no-wait', /--out: expected no --no-wait/],
    ['submit @dir -p x --report @r.xml', /--report .*: expected a name that ends with \.json or \.csv/],
    ['submit @*.avif -p x', /\*\.avif: no file matches/],
    ['submit @a.png @none.png -p x', /none\.png: there is no such file or folder/],
    ['submit @bad.jsonl -p x', /bad\.jsonl:2: input is given twice/],
    ['submit @bad.csv -p x', /bad\.csv:1: unknown colour: expected input, out/],
    ['submit @gif.jsonl -p x', /gif\.jsonl:2: output\.format: .*"gif"/],
    ['submit @quality.csv -p x', /quality\.csv:2: output\.quality: expected a number, given "abc"/],
    ['submit @late.csv -p x', /late\.csv:2: deadline: expected a time to come, given 2020/],
    ['submit @quote.csv -p x', /quote\.csv:3: expected quotes around a whole cell/],
    ['submit @dir -p x --wait-seconds never', /--wait-seconds: expected a number of seconds/],
    ['submit @dir -p x --out /proc/none/o', /--out \/proc\/none\/o: expected a folder that can be written: ENOENT/],
    ['process @dir -p x --out /proc/none', /--out \/proc\/none: expected a folder that can be written: ENOENT/],
    ['process @dir -p x --out @a.png/o', /--out .*a\.png: expected a folder, given a file/],
    ['submit @short.csv -p x', /short\.csv:2: expected 2 columns, given 1/],
    ['submit @dir -p x --quality 0', /--quality: expected at least 1, given 0/],
    ['process @a.png -o @o.png', /--operation/],
  ])('exits with 2: %s', async (line, message) => {
    const { code, said } = await call(...line.split(' '));
    expect(said).toMatch(message);
    expect(code).toBe(2);
    expect(said).not.toMatch(/^\s+at /m); // no stack
  });
});
