/**
 * The long run, by hand: `npx tsx test/support/hostile/fuzz.ts [files] [first seed] [seeds]`. Every file that kills the
 * process, hangs, or ends as INTERNAL is written into .imagen/hostile.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { type HostileFile, randomFiles, tableOf } from './files.js';
import { Patient } from './patient.js';
import { seeds } from './seeds.js';

const [files = 10_000, first = 1, rounds = 3] = process.argv.slice(2).map(Number);
const FOLDER = '.imagen/hostile';
const BAD = ['DEATH', 'HANG', 'INTERNAL', 'WRONG_RASTER'];

const print = (line: string) => process.stdout.write(`${line}\n`);
const patient = new Patient(20_000);
const sound = await seeds();
const ends: { kind: string; outcome: string }[] = [];
let slowest: { ms: number; file?: HostileFile } = { ms: 0 };
let largest: { megabytes: number; file?: HostileFile } = { megabytes: 0 };
for (let seed = first; seed < first + rounds; seed++) {
  for (const file of randomFiles(sound, files, seed)) {
    const { outcome, message, ms, megabytes } = await patient.feed(file);
    ends.push({ kind: file.kind, outcome });
    if (ms > slowest.ms) slowest = { ms, file };
    if (megabytes > largest.megabytes) largest = { megabytes, file };
    if (BAD.includes(outcome)) {
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(`${FOLDER}/${file.name}`, file.bytes);
      print(`${outcome} ${file.name}: ${message}`);
    }
  }
}
await patient.close();
print(tableOf(ends));
print(`slowest ${Math.round(slowest.ms)} ms: ${slowest.file?.name}`);
print(`largest ${Math.round(largest.megabytes)} MB: ${largest.file?.name}`);
process.exitCode = ends.some(({ outcome }) => BAD.includes(outcome)) ? 1 : 0;
