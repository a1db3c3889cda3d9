/**
 * Damages pictures and decodes them as the worker does: `npm run damage -- --files 5000 --seed 1`. With `--folder`, the sound
 * files are those of a folder, which other encoders wrote. Prints tables; exits with 1 if a sound file is refused.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { program } from 'commander';
import { JobError } from '../../src/domain/errors.js';
import type { InputFormat } from '../../src/domain/job.js';
import { damage } from './damage/harm.js';
import { attempt, type End, judge } from './damage/judge.js';
import { type SoundFile, soundFile } from './damage/sound.js';
import { seeded } from './random.js';

const { files, seed, folder, formats, verbose } = program
  .option('--files <n>', 'number of sound files, and of damaged ones', Number, 1_000)
  .option('--seed <n>', 'the same files for the same number', Number, 1)
  .option('--folder <path>', 'sound files by other encoders')
  .option('--formats <names>', 'only these, such as tiff,gif')
  .option('--verbose', 'print a line for each file with a wrong result')
  .parse()
  .opts<{ files: number; seed: number; folder?: string; formats?: string; verbose?: true }>();

const next = seeded(seed);
const chance = (below: number) => Math.floor(next() * below);
const foreign = folder === undefined ? [] : readdirSync(folder).sort();

async function sound(i: number): Promise<SoundFile> {
  const name = foreign[i % Math.max(1, foreign.length)];
  if (folder === undefined || name === undefined)
    return soundFile(chance, 1, formats?.split(',') as InputFormat[] | undefined);
  const format = (name.split('.').at(-1) ?? '').replace('jpg', 'jpeg').replace(/^tif$/, 'tiff') as SoundFile['format'];
  return { name, format, bytes: readFileSync(join(folder, name)) };
}

const ends = new Map<string, Record<End, number>>();
const refused = new Map<string, number>();
for (let i = 0; i < files; i++) {
  const file = await sound(i);
  const whole = await attempt(file.bytes);
  if (whole instanceof JobError) {
    refused.set(file.format, (refused.get(file.format) ?? 0) + 1);
    console.log(`REFUSED ${file.name}: ${whole.code} ${whole.message}`);
    continue;
  }
  const harmed = damage(file, chance);
  const { end, detail } = await judge(harmed.bytes, whole);
  if (verbose && end === 'silent') console.log(`SILENT ${file.bytes.length} bytes, ${detail} levels: ${harmed.name}`);
  const key = `${file.format.padEnd(5)} ${file.name.includes('"progressive":true') ? 'prog' : '    '} ${harmed.kind}`;
  const row = ends.get(key) ?? { refused: 0, warned: 0, same: 0, silent: 0 };
  row[end]++;
  ends.set(key, row);
}
for (const [key, row] of [...ends].sort()) console.log(key.padEnd(40), JSON.stringify(row));
const all = [...ends.values()];
const sum = (end: End) => all.reduce((total, row) => total + row[end], 0);
console.log(`sound files: ${files}, refused: ${[...refused.values()].reduce((a, b) => a + b, 0)}`);
console.log(
  `damaged: refused ${sum('refused')}, warned ${sum('warned')}, same ${sum('same')}, silent ${sum('silent')}`,
);
process.exitCode = refused.size > 0 ? 1 : 0;
