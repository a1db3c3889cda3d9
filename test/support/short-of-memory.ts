/**
 * A process that reads and writes good pictures while the kernel refuses it memory (`prlimit --as`), and prints what becomes
 * of each: `success`, or the code of its error.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import sharp from 'sharp';
import { JobError, type Stage } from '../../src/domain/errors.js';
import { decodeFile } from './decode.js';
import { encode } from '../../src/pipeline/encode.js';
import { FORMATS } from '../../src/pipeline/formats/index.js';

const MORE_BYTES = 3_000_000;
const SIDE = 5_000;
const SMALL = 3_500;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const limit = (bytes: string) => execFileSync('prlimit', [`--pid=${process.pid}`, `--as=${bytes}:`]);
const used = () => Number(/VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024;

async function outcomeOf(stage: Stage, work: () => Promise<unknown>): Promise<string> {
  // Or else what is collected meanwhile would be memory enough.
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resume) => setImmediate(resume));
  }
  limit(String(used() + MORE_BYTES));
  try {
    await work();
    return 'success';
  } catch (thrown) {
    return JobError.from(thrown, stage).code;
  } finally {
    limit('unlimited');
  }
}

const plain = (side: number) => sharp({ create: { width: side, height: side, channels: 3, background: '#a35' } });
const files: Readonly<Record<string, Buffer>> = {
  jpeg: await plain(SIDE).jpeg().toBuffer(),
  'jpeg, progressive': await plain(SIDE).jpeg({ progressive: true }).toBuffer(),
  png: await plain(SIDE).png().toBuffer(),
  webp: await plain(SIDE).webp().toBuffer(),
  avif: await plain(SMALL).avif({ effort: 0 }).toBuffer(),
};
const options = { maxPixels: 1e8 };
// Libraries and the like take their memory at the first picture.
for (const bytes of Object.values(files)) await decodeFile(bytes, options);
await plain(64).avif({ effort: 0 }).toBuffer();
const size = { width: SMALL, height: SMALL };
const pixels = await plain(SMALL).raw().toBuffer();

const outcomes: Record<string, string> = {};
for (const [name, bytes] of Object.entries(files)) {
  outcomes[`read ${name}`] = await outcomeOf('decode', () => decodeFile(bytes, options));
}
outcomes['write avif'] = await outcomeOf('encode', () =>
  encode({ ...size, channels: 3, data: pixels }, { size, format: FORMATS.avif }),
);
// What is really broken stays the picture's own fault.
const broken = files.jpeg?.subarray(0, 20_000) ?? Buffer.alloc(0);
outcomes['read half a jpeg'] = await decodeFile(broken, options).then(
  () => 'success',
  (thrown: unknown) => JobError.from(thrown, 'decode').code,
);
for (const bytes of Object.values(files)) await decodeFile(bytes, options); // and now there is memory again
process.stdout.write(JSON.stringify(outcomes));
