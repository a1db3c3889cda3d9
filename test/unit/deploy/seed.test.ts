/** `triton/entrypoint.sh seed`: what fills an empty volume, however often, by however many, however it was cut short. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const entrypoint = fileURLToPath(new URL('../../../triton/entrypoint.sh', import.meta.url));
const names = ['aged', 'comic', 'upscale'];

let dir: string;
let volume: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'imagen-seed-'));
  volume = join(dir, 'volume');
  await mkdir(volume);
  await copyFile(entrypoint, join(dir, 'entrypoint.sh'));
  for (const name of names) {
    await mkdir(join(dir, 'model_repository', name, '1'), { recursive: true });
    await writeFile(join(dir, 'model_repository', name, 'config.pbtxt'), `name: "${name}"\n`);
    await writeFile(join(dir, 'model_repository', name, '1/model.onnx'), name.repeat(1000));
  }
  await mkdir(join(dir, 'bin'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** With programs of ours before those of the system. */
function seed(...args: string[]) {
  const child = spawn('sh', [join(dir, 'entrypoint.sh'), 'seed', ...args], {
    env: { PATH: `${join(dir, 'bin')}:${process.env.PATH ?? ''}` },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return once(child, 'close').then(([code, signal]) => ({ code: code as unknown, signal: signal as unknown, said }));
}

async function expectWhole() {
  expect((await readdir(volume)).sort()).toEqual(['.seed.lock', ...names].sort());
  for (const name of names) {
    expect(await readFile(join(volume, name, '1/model.onnx'), 'utf8')).toBe(name.repeat(1000));
    expect(await readFile(join(volume, name, 'config.pbtxt'), 'utf8')).toContain(name);
  }
}

/** A cp that copies only a part when its turn comes, and takes the script with it: as when a node dies. */
const dieAtCopy = (turn: number) =>
  writeFile(
    join(dir, 'bin/cp'),
    `#!/bin/sh
echo >>${dir}/turns
[ "$(wc -l <${dir}/turns)" -lt ${turn} ] && exec /bin/cp "$@"
mkdir -p "$4/1" && echo half >"$4/1/model.onnx"
kill -9 $PPID
`,
    { mode: 0o755 },
  );

it('fills an empty folder', async () => {
  expect(await seed(volume)).toMatchObject({ code: 0 });
  await expectWhole();
});

it("takes a volume's own folder for nothing", async () => {
  await mkdir(join(volume, 'lost+found'));
  expect(await seed(volume)).toMatchObject({ code: 0 });
  await rm(join(volume, 'lost+found'), { recursive: true });
  await expectWhole();
});

it('leaves a folder alone that has anything in it', async () => {
  for (const name of ['mine', '.hidden']) {
    await writeFile(join(volume, name), 'x');
    expect(await seed(volume)).toMatchObject({ code: 0, said: expect.stringContaining('not empty') as string });
    expect((await readdir(volume)).sort()).toEqual(['.seed.lock', name].sort());
    await rm(join(volume, name));
  }
});

it('brings nothing back that was taken away since', async () => {
  await seed(volume);
  await rm(join(volume, 'comic'), { recursive: true });
  expect(await seed(volume)).toMatchObject({ code: 0 });
  expect(await readdir(volume)).not.toContain('comic');
});

it.each([1, 2, 3])('goes on where it was cut short, at model %i', async (turn) => {
  await dieAtCopy(turn);
  expect(await seed(volume)).toMatchObject({ signal: 'SIGKILL' });
  // What has a place has it whole.
  expect((await readdir(volume)).filter((name) => !name.startsWith('.'))).toEqual(names.slice(0, turn - 1));
  await rm(join(dir, 'bin/cp'));
  expect(await seed(volume)).toMatchObject({ code: 0 });
  await expectWhole();
});

it('copies once where several do so at once', async () => {
  const all = await Promise.all(Array.from({ length: 4 }, () => seed(volume)));
  expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  expect(all.filter(({ said }) => said.includes('copied'))).toHaveLength(1);
  await expectWhole();
});

it('fails where there is no folder, or none is named', async () => {
  for (const args of [[], [''], [join(dir, 'nowhere')], [volume, 'more']]) {
    expect(await seed(...args)).toMatchObject({ code: 2 });
  }
});
