/** Files that mean harm, sent through fetch and decode in a process of their own: nothing may kill it or stop it. */
import { afterAll, describe, expect, it } from 'vitest';
import { decodeFile } from '../../support/decode.js';
import { bombs } from '../../support/hostile/bombs.js';
import { hostileFiles, tableOf } from '../../support/hostile/files.js';
import { Patient } from '../../support/hostile/patient.js';
import { scans } from '../../support/hostile/scans.js';

/** What docs/pixels.md promises of a file, however it was made. */
const OUTCOMES = [
  'success',
  'INPUT_EMPTY',
  'INPUT_TOO_LARGE',
  'UNSUPPORTED_FORMAT',
  'INPUT_CORRUPT',
  'INPUT_TOO_MANY_PIXELS',
];

describe('hostile pictures', () => {
  const patients = [new Patient(15_000), new Patient(15_000)];
  afterAll(() => Promise.all(patients.map((patient) => patient.close())));

  it('end in success or in a documented code, one and all', { timeout: 180_000 }, async () => {
    const files = await hostileFiles();
    const ends: { name: string; kind: string; outcome: string; wrong: boolean; message: string; ms: number }[] = [];
    const left = files.values();
    const feed = async (patient: Patient) => {
      for (const { name, kind, bytes, outcome: wanted } of left) {
        const { outcome, message, ms } = await patient.feed({ name, bytes });
        const wrong = !OUTCOMES.includes(outcome) || (wanted !== undefined && outcome !== wanted);
        ends.push({ name, kind, outcome, wrong, message, ms });
      }
    };
    await Promise.all(patients.map(feed));
    const slowest = ends.reduce((a, b) => (b.ms > a.ms ? b : a));
    process.stdout.write(`${tableOf(ends)}\nslowest: ${slowest.name}, ${Math.round(slowest.ms)} ms\n`);

    expect(ends.filter(({ wrong }) => wrong)).toEqual([]);
    expect(ends.length).toBeGreaterThanOrEqual(2000);
    // Damage that is never noticed, or always, would test nothing.
    for (const format of ['jpeg', 'png', 'webp', 'avif', 'tiff', 'gif']) {
      const of = ends.filter(({ kind }) => kind.startsWith(format));
      expect(new Set(of.map(({ kind }) => kind)).size).toBe(4);
      expect(of.filter(({ outcome }) => outcome === 'success').length).toBeGreaterThan(20);
      expect(of.filter(({ outcome }) => outcome === 'INPUT_CORRUPT').length).toBeGreaterThan(100);
    }
  });
});

describe('a bomb', async () => {
  const all = Object.entries(await bombs());
  const patient = new Patient(15_000);
  afterAll(() => patient.close());

  it.each(all)('is refused within 50 ms and 50 MB: %s', { timeout: 60_000 }, async (name, { bytes, outcome }) => {
    // The best of three, or of ten where the machine has much other work; all of them have to be refused.
    const tries: Awaited<ReturnType<Patient['feed']>>[] = [];
    const isQuick = () => tries.some(({ ms }) => ms < 50);
    while (tries.length < 3 || (tries.length < 10 && !isQuick())) tries.push(await patient.feed({ name, bytes }));
    expect(new Set(tries.map((end) => end.outcome))).toEqual(new Set([outcome]));
    expect(Math.min(...tries.map(({ ms }) => ms))).toBeLessThan(50);
    expect(Math.min(...tries.map(({ megabytes }) => megabytes))).toBeLessThan(50);
  });
});

describe('the time for decoding', () => {
  it('has an end', { timeout: 60_000 }, async () => {
    const slow = scans(6000, 6000, 4, 1); // two seconds and more
    await expect(decodeFile(slow, { maxPixels: 1e8, maxSeconds: 1 })).rejects.toMatchObject({
      code: 'EXECUTION_TIMEOUT',
      stage: 'decode',
    });
  });
});
