/** What the live page knows of jobs: the last of them, as far as each has come. Everything here was said by strangers. */
import { type Completion, completionSchema } from '../../../../src/domain/completion.js';
import type { ErrorCode } from '../../../../src/domain/errors.js';
import { type Job, isJobId, parseJob, salvage } from '../../../../src/domain/job.js';
import type { Delivery } from '../../../../src/domain/ports.js';
import { isPermitted, type ObjectRef, parseObjectUri } from '../../../../src/domain/uri.js';
import type { StepDone } from '../../../../src/pipeline/step-done.js';

export const STRIP = ['queued', 'fetch', 'decode', 'infer', 'encode', 'store', 'record', 'publish'] as const;
type StripStage = (typeof STRIP)[number];

export type Side = 'before' | 'after';

type Step = NonNullable<Completion['steps']>[number];
type OperationView = Partial<Pick<Step, 'plan' | 'requests'>> & { model: string; version?: string | undefined };

export interface Sized extends Partial<Record<'width' | 'height' | 'bytes', number | undefined>> {
  readonly contentType?: string;
}

export interface PictureRef extends ObjectRef {
  readonly generation?: string;
}

interface BoardOptions {
  readonly allowedInputs: readonly string[];
  readonly allowedOutputs: readonly string[];
  readonly limit?: number;
  readonly now?: () => number;
  readonly onChange?: () => void;
}

export type Board = ReturnType<typeof createBoard>;

/** Two bursts, and as many others. */
export const BOARD_LIMIT = 180;
const MAX_COMPLETION_BYTES = 262_144;
const MAX_TEXT = 400;
const MAX_STEPS = 8;
const MINUTE_S = 60;

/** Announced, but nothing that a record could be of. */
const UNRECORDED: ReadonlySet<ErrorCode> = new Set(['INVALID_MESSAGE', 'UNSUPPORTED_SCHEMA', 'JOB_ID_REUSED']);

interface Entry {
  /** Names it among all on the board, in addresses too: its id, or `~<n>` where that stands for another. */
  readonly key: string;
  readonly serial: number;
  readonly jobId: string | undefined;
  messageId?: string;
  arrivedAt: number;
  operations: readonly OperationView[];
  group?: Job['group'];
  /** Somebody at the page has canceled it. A worker that meets it announces that. */
  canceled: boolean;
  input?: PictureRef | undefined;
  attempt: number;
  readonly done: Set<string>;
  inferred: number;
  /** Whether the picture is known to be one that a browser can show. */
  shown: boolean;
  completion?: Completion;
}

export function createBoard(options: BoardOptions) {
  const { allowedInputs, allowedOutputs, limit = BOARD_LIMIT, now = Date.now, onChange = () => undefined } = options;
  const entries = new Map<string, Entry>();
  const changed = new Set<string>();
  const gone = new Set<string>();
  const ends = Array.from({ length: MINUTE_S }, () => ({ second: 0, count: 0 }));
  const counts = { succeeded: 0, failed: 0 };
  let serial = 0;

  function touch(entry: Entry): void {
    changed.add(entry.key);
    if (changed.size + gone.size === 1) onChange();
  }

  function add(jobId: string | undefined, key = jobId): Entry {
    serial += 1;
    const entry: Entry = {
      ...{ key: key ?? `~${serial}`, serial, jobId, arrivedAt: now(), operations: [], canceled: false },
      ...{ attempt: 0, done: new Set<string>(), inferred: 0, shown: false },
    };
    entries.set(entry.key, entry);
    gone.delete(entry.key);
    if (entries.size > limit) {
      const all = [...entries.values()];
      const leaving = all.find(({ completion }) => completion) ?? all[0];
      if (leaving) {
        entries.delete(leaving.key);
        changed.delete(leaving.key);
        gone.add(leaving.key);
      }
    }
    return entry;
  }

  function entryOf({ jobId, messageId, eventId, error }: Completion): Entry | undefined {
    const all = [...entries.values()];
    if (all.some(({ completion }) => completion?.eventId === eventId)) return undefined;
    const unnamed = all.find((entry) => entry.jobId === undefined && entry.messageId === messageId);
    const waiting = jobId === undefined ? unnamed : entries.get(jobId);
    if (!waiting) return add(jobId);
    // The id stands for another job, which has an outcome of its own.
    return waiting.completion || error?.code === 'JOB_ID_REUSED' ? add(jobId, `~${serial + 1}`) : waiting;
  }

  function pictureOf({ completion, input }: Entry, side: Side): PictureRef | undefined {
    if (side === 'after') return permitted(completion?.output, allowedOutputs);
    return completion?.input ? permitted(completion.input, allowedInputs) : input;
  }

  /** A job as the browser gets it. Texts are clipped, not escaped. */
  function view(entry: Entry) {
    const { key, jobId, arrivedAt, completion, operations, done } = entry;
    const running = done.size > 0 ? 'running' : 'queued';
    const before = pictureOf(entry, 'before');
    const after = pictureOf(entry, 'after');
    const showBefore = before && (entry.shown || done.has('decode') || completion?.input?.width !== undefined);
    const { error } = completion ?? {};
    return {
      ...{ key, jobId, arrivedAt, status: completion?.status ?? (entry.canceled ? 'canceling' : running) },
      group: completion?.group ?? entry.group,
      stages: STRIP.map((stage) => progressOf(entry, stage)),
      /** What was asked for until it is known what was done. */
      operations: completion?.steps?.length ? completion.steps.slice(0, MAX_STEPS).map(served) : operations,
      input: completion?.input && sized(completion.input),
      output: completion?.output && { ...sized(completion.output), contentType: clip(completion.output.contentType) },
      timingsMs: completion?.timingsMs,
      error: error && { code: error.code, stage: error.stage, message: clip(error.message) },
      warnings: (completion?.warnings ?? []).slice(0, MAX_STEPS).map(clip),
      /**
       * The pictures that a browser may request. The text changes with the picture, so that a new picture has a new
       * address.
       */
      pictures: {
        // The same before and after the job has ended, so that the picture is loaded once.
        ...(showBefore ? { before: String(entry.serial) } : {}),
        ...(after ? { after: after.generation ?? '' } : {}),
      } as Partial<Record<Side, string>>,
    };
  }

  return {
    /** A message on the jobs topic. A job that is there already is not told twice: workers put jobs back, publishers repeat. */
    arrived({ messageId, data, publishedAt }: Pick<Delivery, 'messageId' | 'data' | 'publishedAt'>): void {
      const job = readable(data);
      const jobId = job?.jobId ?? salvage(data).jobId;
      const known = jobId === undefined ? undefined : entries.get(jobId);
      if (known?.messageId !== undefined) return;
      const entry = known ?? add(jobId);
      entry.messageId = messageId;
      entry.arrivedAt = publishedAt.getTime();
      entry.operations = (job?.operations ?? []).map(({ model, version }) => ({ model, version }));
      entry.input = permitted(job?.input, allowedInputs);
      entry.group = job?.group;
      touch(entry);
    },

    stepped({ jobId, attempt, step }: StepDone): void {
      const entry = entries.get(jobId) ?? (step === 'route' && isJobId(jobId) ? add(jobId) : undefined);
      if (!entry || entry.completion || attempt < entry.attempt) return;
      if (step === 'route' || attempt > entry.attempt) {
        entry.done.clear();
        entry.inferred = 0;
      }
      entry.attempt = attempt;
      entry.done.add(step);
      if (step === 'infer') entry.inferred += 1;
      touch(entry);
    },

    ended(data: Buffer): void {
      const completion = readCompletion(data);
      const entry = completion && entryOf(completion);
      if (!completion || !entry) return;
      entry.completion = completion;
      if (completion.status === 'succeeded') counts.succeeded += 1;
      else if (completion.status !== 'canceled') counts.failed += 1;
      const second = Math.floor(now() / 1000);
      const slot = ends[second % MINUTE_S];
      if (slot) Object.assign(slot, { second, count: (slot.second === second ? slot.count : 0) + 1 });
      touch(entry);
    },

    /** A job that came in through the page: its picture has been looked at and stored. */
    submitted({ jobId, operations, input, group }: Job): void {
      const entry = entries.get(jobId) ?? add(jobId);
      entry.operations = operations.map(({ model, version }) => ({ model, version }));
      entry.input = permitted(input, allowedInputs);
      entry.group = group;
      entry.shown = true;
      touch(entry);
    },

    /** The id of a job that has not ended; undefined for any other, and for a message whose id stands for another job. */
    cancelable(key: string): string | undefined {
      const entry = entries.get(key);
      return entry?.completion || entry?.jobId !== key ? undefined : key;
    },

    canceled(key: string): void {
      const entry = entries.get(key);
      if (!entry || entry.completion) return;
      entry.canceled = true;
      touch(entry);
    },

    /** Where a picture of a job on the board is; undefined for any other, and for what the configuration does not permit. */
    picture(key: string, side: Side): PictureRef | undefined {
      const entry = entries.get(key);
      return entry && pictureOf(entry, side);
    },

    jobs: () => [...entries.values()].map(view),

    /** How many jobs have no outcome yet, have ended, and have ended in the last minute. */
    facts() {
      const since = Math.floor(now() / 1000) - MINUTE_S;
      const perMinute = ends.reduce((sum, { second, count }) => sum + (second > since ? count : 0), 0);
      const underWay = [...entries.values()].filter(({ completion }) => !completion).length;
      return { underWay, ...counts, perMinute };
    },

    /** What has changed since this was asked last, oldest first, and the keys of those that had to make room. */
    takeChanges() {
      const jobs = [...entries.values()].filter(({ key }) => changed.has(key)).map(view);
      const changes = { jobs, gone: [...gone] };
      changed.clear();
      gone.clear();
      return changes;
    },
  };
}

function progressOf({ completion, done, inferred, operations }: Entry, stage: StripStage): number {
  if (completion?.status === 'succeeded') return 1;
  if (stage === 'queued') return done.size > 0 || completion ? 1 : 0;
  if (completion && stage === 'record') return completion.error && UNRECORDED.has(completion.error.code) ? 0 : 1;
  if (completion && stage === 'publish') return 1;
  if (completion && stage === completion.error?.stage) return 0;
  if (stage === 'infer' && !completion) return Math.min(1, inferred / Math.max(1, operations.length));
  // A worker that tells nothing of its steps tells the times that they took.
  const timing = stage === 'infer' ? 'inference' : stage === 'record' || stage === 'publish' ? undefined : stage;
  return done.has(stage) || (timing && completion?.timingsMs?.[timing] !== undefined) ? 1 : 0;
}

function readable(data: Buffer): Job | undefined {
  try {
    return parseJob(data);
  } catch {
    return undefined; // a worker will say so in its completion
  }
}

function readCompletion(data: Buffer): Completion | undefined {
  if (data.length > MAX_COMPLETION_BYTES) return undefined;
  try {
    const completion = completionSchema.parse(JSON.parse(data.toString('utf8')));
    delete completion.metadata; // not shown, so not kept
    return completion;
  } catch {
    return undefined; // not from a worker
  }
}

type Place = { readonly uri: string; readonly generation?: string | undefined } | undefined;

function permitted(place: Place, prefixes: readonly string[]): PictureRef | undefined {
  if (!place) return undefined;
  const ref = parseObjectUri(place.uri);
  if (typeof ref === 'string' || !isPermitted(ref, prefixes)) return undefined;
  const { generation } = place;
  return generation !== undefined && /^[0-9]{1,18}$/.test(generation) ? { ...ref, generation } : ref;
}

const served = ({ model, servedVersion, plan, requests }: Step): OperationView => ({
  ...{ model: clip(model), version: clip(servedVersion), plan, requests },
});

const sized = ({ width, height, bytes }: Sized): Sized => ({ width, height, bytes });

const clip = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
