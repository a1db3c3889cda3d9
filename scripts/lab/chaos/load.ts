/** What is published: jobs of every kind, each with the outcome that it must have. */
import type { StandIn } from '../make-models.js';
import { fingerprint } from '../../../src/domain/fingerprint.js';
import { type JobMessage, parseJob } from '../../../src/domain/job.js';
import type { Status } from '../../../src/domain/completion.js';
import { CRASH_STEPS } from './crashes.js';
import { type Inputs, LATE_BUCKET } from './inputs.js';

export interface PlannedJob {
  readonly kind: 'good' | keyof typeof SHARES;
  /** Absent when it cannot be read out of its messages. */
  readonly jobId?: string;
  readonly messages: readonly {
    readonly atMs: number;
    /** @param now when it is published, in milliseconds since the epoch */
    readonly body: (now: number) => string;
  }[];
  readonly expected: Expected;
  /** The record that a newer worker has written before the first message. */
  readonly record?: object;
  /** `imagen cancel` comes so long after the first message, and decides what is expected. */
  readonly cancelAfterMs?: number;
}

export interface Expected {
  readonly status: Status;
  readonly codes?: readonly string[];
  readonly deadLetter?: true;
}

/** They sleep, so that the two processors of a small machine are left to what is under test. */
export const STAND_INS: readonly StandIn[] = [
  { name: 'quick', fixedMs: 20, eachMs: 5, plans: ['whole'] },
  { name: 'steady', fixedMs: 150, eachMs: 5, plans: ['whole'] },
  { name: 'heavy', fixedMs: 1000, eachMs: 5, plans: ['whole'] },
  { name: 'picky', fixedMs: 30, eachMs: 5, plans: ['whole'], red: 'raise' },
  { name: 'fragile', fixedMs: 30, eachMs: 5, plans: ['whole'], red: 'die' },
  { name: 'stuck', fixedMs: 30, eachMs: 5, plans: ['whole'], red: 'hang' },
  { name: 'slow', fixedMs: 4000, eachMs: 0, plans: ['whole'], instances: 2 },
];

/** Sooner than `slow` can answer. */
const LATE_MS = 1_500;
const CANCEL_AFTER_MS = 1_000;
/**
 * How long before the end of the run the last job that kills its worker is published, in milliseconds: it needs several
 * attempts.
 */
const KILLER_MS = 90_000;
const BEGINNING = 0.05;

const GOOD: Expected = { status: 'succeeded' };
const failed = (...codes: string[]): Expected => ({ status: 'failed', codes });
/** Of jobs that end a process with each attempt. */
const LOST: Expected = { ...failed('WORKER_LOST', 'RETRIES_EXHAUSTED'), deadLetter: true };
/** Of jobs that hang their model: no worker dies of them. */
const EXHAUSTED: Expected = { ...failed('RETRIES_EXHAUSTED', 'WORKER_LOST'), deadLetter: true };
const NEW_CODE = 'NOT_KNOWN_YET';

/** How many of a thousand jobs are of a kind, and the fewest in any run; for crashes, after each step. */
const SHARES = {
  crash: { of1000: 2, fewest: 1 },
  killer: { of1000: 5, fewest: 1 },
  poison: { of1000: 8, fewest: 2 },
  late: { of1000: 8, fewest: 1 },
  canceled: { of1000: 8, fewest: 2 },
  bad: { of1000: 20, fewest: 5 },
  raises: { of1000: 10, fewest: 2 },
  'model-killer': { of1000: 2, fewest: 1 },
  hangs: { of1000: 2, fewest: 1 },
  decided: { of1000: 8, fewest: 2 },
  bucketless: { of1000: 8, fewest: 2 },
  reused: { of1000: 8, fewest: 1 },
  duplicate: { of1000: 60, fewest: 4 },
} as const;

/** @param jobs how many; duplicates and second jobs under a used id come on top as messages, and are not counted */
export function planLoad(jobs: number, durationMs: number, inputs: Inputs, random: () => number): PlannedJob[] {
  const planned: PlannedJob[] = [];
  const any = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const name = (suffix = '') => `chaos-${planned.length}${suffix}`;
  const sometime = (until = 1) => random() * until * durationMs;
  const job = (jobId: string, more: Partial<JobMessage> = {}): JobMessage => ({
    ...{ jobId, operations: operations(random), input: { uri: any(inputs.good) } },
    ...more,
  });
  const message = (atMs: number, what: object) => ({ atMs, body: () => JSON.stringify(what) });
  /** A job of one message, published before that part of the time is over. */
  const single = (suffix: string, expected: Expected, more: Partial<JobMessage> = {}, until = 1) => {
    const jobId = name(suffix);
    const what = job(jobId, more);
    return { jobId, messages: [message(sometime(until), what)], expected };
  };
  const times = (kind: keyof typeof SHARES, plan: (index: number) => Omit<PlannedJob, 'kind'>) => {
    const { fewest, of1000 } = SHARES[kind];
    const count = Math.max(fewest, Math.round((of1000 * jobs) / 1000));
    for (let i = 0; i < count; i++) planned.push({ kind, ...plan(i) });
  };
  const red = { input: { uri: inputs.red } };

  for (const step of CRASH_STEPS) {
    times('crash', () => {
      const jobId = name(`-dies-after-${step}`);
      return { jobId, messages: [message(sometime(0.9), job(jobId))], expected: GOOD };
    });
  }
  times('killer', (i) => {
    // What comes back together with a killer dies with it again and again, if it strikes at once; not all of them do.
    const operations = [i % 2 === 0 ? 'heavy' : 'quick'];
    return single('-kills-its-worker', LOST, { operations }, Math.max(BEGINNING, 1 - KILLER_MS / durationMs));
  });
  times('poison', (i) => {
    const body = ['not JSON', '{"jobId":', '{"jobId": 7}', '[]'][i % 4] ?? '';
    const expected = { ...failed('INVALID_MESSAGE'), deadLetter: true } as const;
    return { messages: [{ atMs: sometime(), body: () => body }], expected };
  });
  times('late', () => {
    const jobId = name('-late');
    const body = (now: number) =>
      JSON.stringify(job(jobId, { operations: ['slow'], deadline: new Date(now + LATE_MS).toISOString() }));
    const expected = { status: 'expired', codes: ['DEADLINE_EXCEEDED'] } as const;
    return { jobId, messages: [{ atMs: sometime(), body }], expected };
  });
  const cancelAfterMs = CANCEL_AFTER_MS;
  times('canceled', () => ({ ...single('-canceled', GOOD, { operations: ['slow'] }), cancelAfterMs }));
  times('bad', (i) => {
    const [code = '', uri = ''] = Object.entries(inputs.bad)[i % Object.keys(inputs.bad).length] ?? [];
    return single('-bad', failed(code), { input: { uri } });
  });
  times('raises', () => single('-raises', failed('INFERENCE_FAILED'), { operations: ['picky'], ...red }));
  times('model-killer', () => single('-kills-its-model', LOST, { operations: ['fragile'], ...red }, BEGINNING));
  times('decided', () => {
    const jobId = name('-decided');
    const what = job(jobId);
    const messages = [message(sometime(), what), message(sometime(), what)];
    return { jobId, messages, record: newerRecord(what), expected: failed(NEW_CODE) };
  });
  times('bucketless', () => single('-bucketless', GOOD, { output: { prefix: LATE_BUCKET } }));
  times('reused', () => {
    const jobId = name('-reused');
    const atMs = sometime();
    const [first, second] = [job(jobId, { operations: ['quick'] }), job(jobId, { operations: ['steady'] })];
    // The second twice: both of its messages must be refused alike. Which job wins, only the race between them says.
    const messages = [message(atMs, first), message(atMs, second), message(atMs + 2_000, second)];
    return { jobId, messages, expected: GOOD };
  });
  times('duplicate', (i) => {
    const jobId = name('-twice');
    const [atMs, what] = [sometime(), job(jobId)];
    // At once, so that two workers have it; or later, when it may have ended.
    const again = i % 2 === 0 ? atMs : atMs + random() * 5_000;
    return { jobId, messages: [message(atMs, what), message(again, what)], expected: GOOD };
  });
  times('hangs', () => single('-hangs-its-model', EXHAUSTED, { operations: ['stuck'], ...red }, BEGINNING));
  while (planned.length < jobs) {
    const jobId = name();
    planned.push({ kind: 'good', jobId, messages: [message(sometime(), job(jobId))], expected: GOOD });
  }
  return planned;
}

/** As a worker of a later version may write it, with fields and a code that this one does not know. */
function newerRecord(what: JobMessage): object {
  const error = { code: NEW_CODE, stage: 'afterwards', retryable: false, message: 'decided later', advice: ['wait'] };
  return {
    version: 9,
    fingerprint: fingerprint(parseJob(Buffer.from(JSON.stringify(what)))),
    completion: {
      ...{ schemaVersion: 1, eventId: `of-${what.jobId}`, jobId: what.jobId },
      ...{ status: 'failed', error, novelty: {} },
    },
  };
}

function operations(random: () => number): JobMessage['operations'] {
  const dice = random();
  if (dice > 0.97) return ['fragile'];
  if (dice > 0.94) return ['stuck'];
  if (dice > 0.88) return ['picky'];
  if (dice < 0.1) return ['style_aged'];
  if (dice < 0.5) return ['quick'];
  return dice < 0.7 ? ['steady'] : ['quick', 'steady'];
}
