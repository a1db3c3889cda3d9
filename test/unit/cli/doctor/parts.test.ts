/** The parts of `imagen doctor` that need nothing from outside. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Check, check, fault, ok, skipped, warning } from '../../../../src/cli/doctor/check.js';
import { secondsAhead } from '../../../../src/cli/doctor/clock.js';
import { Deployment } from '../../../../src/cli/doctor/deployment.js';
import { examine, type Limits } from '../../../../src/cli/doctor/examine.js';
import { reasonIn } from '../../../../src/cli/doctor/grpc.js';
import { LEAST_NODE, threadsFor } from '../../../../src/cli/doctor/machine.js';
import { memoryLimit, memoryNeeded } from '../../../../src/cli/doctor/memory.js';
import { nearest } from '../../../../src/domain/nearest.js';
import { hasColours, reportJson, reportText, verdictOf } from '../../../../src/cli/doctor/report.js';
import type { ModelContract, VersionContract } from '../../../../src/domain/contract.js';
import { codecSlots } from '../../../../src/scheduling/codecs.js';

const MIB = 1024 ** 2;

describe('nearest', () => {
  const known = ['IMAGEN_MAX_JOBS', 'IMAGEN_DRAIN_SECONDS', 'IMAGEN_ROUTES_FILE', 'PORT'];
  it.each([
    ['IMAGEN_MAX_JOB', 'IMAGEN_MAX_JOBS'],
    ['IMAGEN_MAXJOBS', 'IMAGEN_MAX_JOBS'],
    ['IMAGEN_DRIAN_SECONDS', 'IMAGEN_DRAIN_SECONDS'],
    ['IMAGEN_ROUTE_FILES', 'IMAGEN_ROUTES_FILE'],
    ['IMAGEN_ROUTES_FILE', 'IMAGEN_ROUTES_FILE'],
    ['IMAGEN_SOMETHING_ELSE_ALTOGETHER', undefined],
  ])('finds the name that %s is like: %s', (given, expected) => expect(nearest(given, known)).toBe(expected));

  it('finds nothing among none', () => expect(nearest('IMAGEN_MAX_JOB', [])).toBeUndefined());
});

it.each([
  [
    'No connection established. Last error: Error: connect ECONNREFUSED [::1]:9. Resolution note: ',
    'connect ECONNREFUSED [::1]:9',
  ],
  [
    'round_robin: No connection established. Last error: No connection established. Last error: Error: a. b. Resolution note: ',
    'a. b',
  ],
  ['Name resolution failed for target dns:nowhere:1', 'Name resolution failed for target dns:nowhere:1'],
])('finds the reason in: %s', (details, reason) => expect(reasonIn(details)).toBe(reason));

describe('the clock', () => {
  const noon = Date.parse('2026-11-27T12:00:00Z');
  it.each([
    ['is right', 0, 'Fri, 27 Nov 2026 12:00:00 GMT', -0.5],
    ['is ahead', 60_000, 'Fri, 27 Nov 2026 12:00:00 GMT', 59.5],
    ['is behind', -7_000, 'Fri, 27 Nov 2026 12:00:00 GMT', -7.5],
    ['cannot be compared without a date', 0, undefined, undefined],
    ['cannot be compared with something else', 0, 'noon', undefined],
  ])('%s', (_, ahead, date, expected) => {
    expect(secondsAhead({ date, sentAt: noon + ahead, answeredAt: noon + ahead })).toBe(expected);
  });

  it('is compared with the middle of the time that the answer took', () => {
    const date = 'Fri, 27 Nov 2026 12:00:02 GMT';
    expect(secondsAhead({ date, sentAt: noon, answeredAt: noon + 5_000 })).toBe(0);
  });
});

describe('memory', () => {
  it.each([
    ['of the machine where nothing limits it', undefined, 8, 8],
    ['of the machine where Node says 0', 0, 8, 8],
    ['of the machine where Node says a huge number', 2 ** 64, 8, 8],
    ['of the container', 6, 8, 6],
  ])('is %s', (_, constrained, total, expected) => expect(memoryLimit(constrained, total)).toBe(expected));

  const bounds = { maxDecodedBytes: 3072 * MIB, maxJobs: 16, maxInputBytes: 32 * MIB };

  it('is the sum of k8s/worker/deployment.yaml without the tensors', () => {
    expect(memoryNeeded(bounds, []) / MIB).toBeCloseTo(3072 + 128 + 512 + 1536 + 143.05 + 150, 1);
  });

  it('has two full batches of the largest tiles of each model, in and out', () => {
    const version = { plans: ['tile'], tileSizes: [128, 256], maxWholePixels: 1_048_576, scale: 4 };
    const batcher = { delayMs: 0, prefetches: true };
    const model = { output: 'image', maxBatchSize: 4, instances: 2, batcher } as const;
    const contract = { ...model, versions: new Map([['1', version as unknown as VersionContract]]) };
    const tensors = memoryNeeded(bounds, [contract as unknown as ModelContract]) - memoryNeeded(bounds, []);
    expect(tensors).toBe(16 * 256 ** 2 * 3 * (1 + 16) * 2);
  });
});

it('demands the Node that the package demands', () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
  expect(engines.node).toBe(`>=${LEAST_NODE.join('.')}`);
});

describe('threads', () => {
  it.each([1, 2, 3, 16])('are enough for all slots on %i processors, and not one fewer is', (processors) => {
    const most = codecSlots(1024, processors);
    expect(codecSlots(threadsFor(processors), processors)).toBe(most);
    if (processors > 1) expect(codecSlots(threadsFor(processors) - 1, processors)).toBeLessThan(most);
  });
});

describe('examine', () => {
  const never = () => new Promise<never>(() => undefined);
  const well = check({ name: 'well', reads: [], run: () => [ok('fine')] });
  const ill = check({ name: 'ill', reads: [], run: () => [ok('half'), fault('bad', 'cure')] });
  const after = (...needs: string[]) => check({ name: 'after', reads: [], needs, run: () => [ok('ran')] });
  const within = (limits: Partial<Limits>, ...checks: readonly Check[]) =>
    examine(checks, new Deployment({ IMAGEN_MAX_JOBS: 'many' }), { checkMs: 60_000, allMs: 60_000, ...limits });
  const look = (...checks: readonly Check[]) => within({}, ...checks);

  it('runs what passes, and gives the findings in the order of the list', async () => {
    const late = check({ name: 'late', reads: [], run: async () => (await sleep(10), [ok('late')]) });
    expect((await look(late, well)).map(({ name }) => name)).toEqual(['late', 'well']);
  });

  it('skips what needs a check that found a fault, and what needs one that was skipped', async () => {
    const next = check({ name: 'next', reads: [], needs: ['after'], run: () => [ok('ran')] });
    expect(await look(well, ill, after('well', 'ill'), next)).toEqual([
      { name: 'well', ...ok('fine') },
      { name: 'ill', ...ok('half') },
      { name: 'ill', ...fault('bad', 'cure') },
      { name: 'after', ...skipped('ill found a fault') },
      { name: 'next', ...skipped('after was skipped') },
    ]);
  });

  it('runs what needs a check that warned', async () => {
    const wary = check({ name: 'wary', reads: [], run: () => [warning('hm', 'cure')] });
    expect(await look(wary, after('wary'))).toContainEqual({ name: 'after', ...ok('ran') });
  });

  it('skips what reads a wrong setting, and names the variable', async () => {
    const reads = check({ name: 'reads', reads: ['maxJobs', 'maxAttempts'], run: () => [ok('ran')] });
    expect(await look(reads)).toEqual([
      { name: 'reads', ...skipped('config.variables found a fault in IMAGEN_MAX_JOBS') },
    ]);
  });

  it('ends a check that takes too long, tells it so, and goes on', async () => {
    let told: AbortSignal | undefined;
    const slow = check({ name: 'slow', reads: [], run: (_, __, signal) => ((told = signal), never()) });
    const found = await within({ checkMs: 100 }, slow, well);
    expect(found[0]).toMatchObject({ name: 'slow', verdict: 'fault', message: 'no answer within 0.1 s' });
    expect(found[1]).toEqual({ name: 'well', ...ok('fine') });
    expect(told?.aborted).toBe(true);
  });

  it('has a limit for all, whatever waits for what', async () => {
    const first = check({ name: 'first', reads: [], run: async () => (await sleep(10), [ok('at last')]) });
    const second = check({ name: 'second', reads: [], needs: ['first'], run: never });
    const found = await within({ allMs: 300 }, first, second);
    expect(found.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['first', 'ok'],
      ['second', 'fault'],
    ]);
  });

  it('shows what a check throws as a fault of its own', async () => {
    const broken = check({ name: 'broken', reads: [], run: () => Promise.reject(new Error('oh')) });
    expect((await look(broken, well))[0]).toMatchObject({ verdict: 'fault', message: 'the check failed: oh' });
  });

  it('refuses a list in which a check stands before what it needs', async () => {
    await expect(look(after('well'), well)).rejects.toThrow('after: expected well before it in the list');
  });
});

describe('the report', () => {
  const findings = [
    { name: 'b', ...fault('bad', 'mend it') },
    { name: 'long', ...ok('fine') },
    { name: 'c', ...skipped('not needed') },
    { name: 'd', ...warning('hm', 'look') },
  ];

  it('has a line for each finding, faults last, each with its cure', () => {
    expect(reportText(findings, false).split('\n')).toEqual([
      'ok       long  fine',
      'skipped  c     not needed',
      'warning  d     hm',
      '               → look',
      'fault    b     bad',
      '               → mend it',
      'fault: 1, warning: 1, skipped: 1, ok: 1',
    ]);
  });

  it('colours the verdicts where it may', () =>
    expect(reportText(findings, true)).toContain('\u001b[31mfault  \u001b[0m  b'));

  it.each([
    [true, true, {}],
    [true, true, { NO_COLOR: '' }],
    [false, true, { NO_COLOR: '1' }],
    [false, false, {}],
  ])('has colours: %s, in a terminal: %s, with %j', (expected, isTerminal, env) => {
    expect(hasColours(env, isTerminal)).toBe(expected);
  });

  it('is one JSON document', () => {
    expect(JSON.parse(reportJson(findings))).toEqual({
      faulty: true,
      checks: [
        { name: 'b', verdict: 'fault', message: 'bad', cure: 'mend it' },
        { name: 'long', verdict: 'ok', message: 'fine' },
        { name: 'c', verdict: 'skipped', message: 'not needed' },
        { name: 'd', verdict: 'warning', message: 'hm', cure: 'look' },
      ],
    });
  });

  it('is as bad as its worst finding', () => {
    expect(verdictOf(findings)).toBe('fault');
    expect(verdictOf(findings.slice(1))).toBe('warning');
    expect(verdictOf(findings.slice(1, 2))).toBe('ok');
  });
});
