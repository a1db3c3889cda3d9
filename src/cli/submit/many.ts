/** `imagen submit` of many pictures: a folder, a glob, several files or a manifest. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, createClient } from '../../client/client.js';
import { ClientError } from '../../client/errors.js';
import type { SubmitRequest } from '../../client/request.js';
import type { Submitted } from '../../client/submit.js';
import type { Outcome } from '../../client/submit-all.js';
import { readConfig } from '../../config/index.js';
import type { Completion } from '../../domain/completion.js';
import { FORMATS } from '../../pipeline/formats/index.js';
import { checkedJob, inFlags } from '../operations.js';
import { reachToPublish } from '../reach.js';
import { printJson } from '../output.js';
import { atMost, INTERRUPTED, untilStopped, UsageError } from '../usage.js';
import { type Flags, waitMsOf, wishOf } from './flags.js';
import { requestOfItem } from './request.js';
import { tellWhatIsStuck } from './stuck.js';
import { describeIgnored } from './tell.js';
import { checkOut, type Item, type Items, itemsOf } from '../pictures/items.js';
import { createTeller, type Teller } from '../pictures/progress.js';
import { checkReport, reportFile, reportOf, type Row, summary } from '../pictures/report.js';

/** Results that are saved at the same time. */
const DOWNLOADS = 8;
/** Time limit for closing the connections, in milliseconds. */
const CLOSE_MS = 5_000;

const FOR_ONE = { jobId: '--job-id', outputUri: '--output-uri', download: '-o', redriveOf: '--redrive-of' } as const;

/** @returns the exit code */
export async function submitMany(args: readonly string[], flags: Flags, env: NodeJS.ProcessEnv): Promise<number> {
  for (const [name, flag] of Object.entries(FOR_ONE)) {
    if (flags[name as keyof typeof FOR_ONE] !== undefined) {
      throw new UsageError(`${flag}: expected a single picture, given several${flag === '-o' ? ': use --out' : ''}`);
    }
  }
  readConfig(env, ['uploadPrefix']); // missing, it is told before the pictures are counted
  const wish = wishOf(flags);
  checkedJob({ ...wish, jobId: 'x', input: { uri: 'gs://checked/later' } });
  if (flags.report !== undefined) checkReport(flags.report, args);
  if (flags.out !== undefined && flags.wait === false)
    throw new UsageError('--out: expected no --no-wait, because it needs the results');
  const found = itemsOf(args, flags.out);
  const waitMs = waitMsOf(flags);
  const items = new Map(found.items.map((item) => [requestOfItem(item, wish), item]));
  if (flags.out !== undefined) checkOut(flags.out, found.items);
  const client = createClient({ env });
  try {
    await reachToPublish(env);
    return await new Run(client, found, items, flags).run(waitMs, env);
  } finally {
    await atMost(CLOSE_MS, client.close());
  }
}

/** One run over all pictures. */
class Run {
  readonly #startedAt = new Date();
  readonly #rows = new Map<Item, Row>();
  /** Jobs that have not ended. */
  readonly #waiting = new Map<Item, Submitted>();
  /** Jobs that were submitted before with other fields. */
  readonly #others: Submitted[] = [];
  #quietSince = Date.now();
  #overdue = false;
  readonly #stop = new AbortController();
  readonly #teller: Teller;
  readonly #waits: boolean;
  readonly #saving = new Set<Promise<void>>();

  constructor(
    private readonly client: Client,
    private readonly found: Items,
    private readonly items: ReadonlyMap<SubmitRequest, Item>,
    private readonly flags: Flags,
  ) {
    this.#waits = flags.wait !== false;
    this.#teller = createTeller(found.items.length, this.#waits);
  }

  /** @param waitMs limit from now on, in milliseconds */
  async run(waitMs: number | undefined, env: NodeJS.ProcessEnv): Promise<number> {
    const { items, leftOut } = this.found;
    const skipped = leftOut > 0 ? ` (${leftOut} other file${leftOut === 1 ? '' : 's'} left out)` : '';
    this.#teller.line(`${items.length} picture${items.length === 1 ? '' : 's'}${skipped}`);
    const interrupt = () => this.#interrupt();
    process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
    const limit = waitMs === undefined ? undefined : setTimeout(() => this.#endWait(waitMs), waitMs);
    const unwatch = tellWhatIsStuck(
      {
        waiting: () => (this.#waits ? [...this.#waiting.values()][0]?.message : undefined),
        quietSince: () => this.#quietSince,
        tell: (reason) => this.#teller.line(reason),
      },
      env,
    );
    const failure = await untilStopped(this.#work(), this.#stop.signal);
    clearTimeout(limit);
    unwatch();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    this.#teller.end();
    return this.#finish(failure);
  }

  /** @returns what has ended the work early, other than a stop */
  async #work(): Promise<Error | undefined> {
    let failure: Error | undefined;
    try {
      const { republish = false } = this.flags;
      const outcomes = this.client.submitAll(this.items.keys(), {
        ...{ signal: this.#stop.signal, wait: this.#waits, republish },
        onSubmitted: (request, submitted) => {
          this.#waiting.set(this.#itemOf(request), submitted);
          if (submitted.ignored.length > 0) this.#others.push(submitted);
        },
        onProgress: (progress) => this.#teller.update(progress),
      });
      for await (const outcome of outcomes) await this.#take(outcome);
    } catch (thrown) {
      if (!this.#stop.signal.aborted) failure = thrown as Error;
    }
    await Promise.all(this.#saving);
    return failure;
  }

  #endWait(waitMs: number): void {
    if (this.#stop.signal.aborted) return;
    this.#overdue = true;
    this.#teller.line(`no more waiting after ${waitMs / 1_000} s`);
    this.#stop.abort(new Error('the wait has ended'));
  }

  #itemOf(request: SubmitRequest): Item {
    const item = this.items.get(request);
    if (!item) throw new TypeError('an outcome of no picture');
    return item;
  }

  #interrupt(): void {
    if (this.#stop.signal.aborted) process.exit(INTERRUPTED);
    this.#teller.line('stopping: what is being published is finished; press again to leave at once');
    this.#stop.abort(new Error('interrupted'));
  }

  async #take(outcome: Outcome): Promise<void> {
    const item = this.#itemOf(outcome.request);
    this.#quietSince = Date.now();
    this.#waiting.delete(item);
    const row = rowOf(item, outcome);
    this.#rows.set(item, row);
    if (row.code !== undefined)
      this.#teller.line(`${row.outcome.padEnd(9)} ${item.input}: ${row.code}: ${row.message ?? ''}`);
    if (outcome.kind !== 'ended' || this.flags.out === undefined || !outcome.completion.output) return;
    if (this.#saving.size >= DOWNLOADS) await Promise.race(this.#saving);
    const saving = this.#save(item, row, outcome.completion, this.flags.out).finally(() => this.#saving.delete(saving));
    this.#saving.add(saving);
  }

  /** A result that is there already, from an earlier run, is not read again. */
  async #save(item: Item, row: Row, completion: Completion, out: string): Promise<void> {
    const { contentType = '', bytes = 0 } = completion.output ?? {};
    const format = Object.values(FORMATS).find((one) => one.contentType === contentType);
    const to = join(out, `${item.out}.${format?.extension ?? 'bin'}`);
    try {
      const there = statSync(to, { throwIfNoEntry: false });
      const isThere = row.published === false && there?.size === bytes;
      if (!isThere) await this.client.download(completion, { to });
      this.#rows.set(item, { ...row, saved: to });
    } catch (thrown) {
      const { message } = thrown as Error;
      const code = thrown instanceof ClientError ? thrown.code : 'NOT_SAVED';
      this.#rows.set(item, { ...row, outcome: 'not saved', code, message });
      this.#teller.line(`not saved ${item.input}: ${message}`);
    }
  }

  #finish(failure: Error | undefined): number {
    const interrupted = this.#stop.signal.aborted && !this.#overdue;
    const all = this.found.items.map((item) => this.#rows.get(item) ?? this.#rowWithoutOutcome(item));
    const report = reportOf(all, this.#startedAt, interrupted);
    if (this.flags.report !== undefined) writeFileSync(this.flags.report, reportFile(this.flags.report, report));
    if (this.flags.json) printJson(report);
    this.#teller.block(summary(report));
    const ignored = describeIgnored(this.#others);
    if (ignored !== undefined) this.#teller.line(ignored);
    if (failure !== undefined || this.#stop.signal.aborted)
      this.#teller.line('Run the same command again to go on where it stopped.');
    if (failure !== undefined) throw failure;
    if (interrupted) return INTERRUPTED;
    if (this.#overdue) return 1;
    const good = this.#waits ? ['succeeded'] : ['submitted', 'succeeded'];
    return all.every(({ outcome }) => good.includes(outcome)) ? 0 : 1;
  }

  #rowWithoutOutcome(item: Item): Row {
    const submitted = this.#waiting.get(item);
    if (!submitted) return { input: item.input, outcome: 'not done' };
    const { jobId, state } = submitted;
    return { input: item.input, outcome: 'submitted', jobId, published: state === 'published' };
  }
}

function rowOf({ input }: Item, outcome: Outcome): Row {
  if (outcome.kind === 'refused') {
    const { code, message } = outcome.error;
    return { input, outcome: 'refused', code, message: code === 'INVALID_MESSAGE' ? inFlags(message) : message };
  }
  const { jobId, state } = outcome.submitted;
  const known = { input, jobId, published: state === 'published' };
  if (outcome.kind === 'submitted') return { ...known, outcome: 'submitted' };
  const { status, error, output, timingsMs } = outcome.completion;
  const { code, message } = error ?? {};
  return { ...known, outcome: status, code, message, output: output?.uri, totalMs: timingsMs?.total };
}
