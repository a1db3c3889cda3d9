/** `imagen process` of a folder, a glob or several files. */
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeFolder } from '../../adapters/files/make-folder.js';
import { mapInOrder } from '../../client/in-order.js';
import { ClientError } from '../../client/errors.js';
import { JobError } from '../../domain/errors.js';
import type { Job } from '../../domain/job.js';
import type { RenderFlags } from '../operations.js';
import { checkOut, type Item, type Items, itemsOf } from '../pictures/items.js';
import { isManifest } from '../pictures/manifest.js';
import { createTeller } from '../pictures/progress.js';
import { checkReport, reportFile, reportOf, type Row, summary } from '../pictures/report.js';
import { printJson } from '../output.js';
import { atMost, INTERRUPTED, untilInterrupted, untilStopped, UsageError } from '../usage.js';
import { LocalPipeline, localJob } from './local.js';

/** Time limit for closing the connections, in milliseconds. */
const CLOSE_MS = 5_000;

export interface ProcessFlags extends RenderFlags {
  readonly output?: string;
  readonly out?: string;
  readonly report?: string;
  readonly json?: boolean;
}

/** @returns the exit code */
export async function processMany(
  args: readonly string[],
  flags: ProcessFlags,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const { out, report } = flags;
  if (flags.output !== undefined) throw new UsageError('-o: expected a single picture, given several: use --out');
  if (out === undefined) throw new UsageError('--out: expected the folder of the results');
  const manifest = args.find(isManifest);
  if (manifest !== undefined) throw new UsageError(`${manifest}: expected pictures; \`imagen submit\` takes manifests`);
  if (report !== undefined) checkReport(report, args);
  const found = itemsOf(args, out);
  checkOut(out, found.items);
  const job = localJob(flags);
  const pipeline = new LocalPipeline(env);
  try {
    await pipeline.reach();
    return await run(pipeline, job, found, { ...flags, out });
  } finally {
    await atMost(CLOSE_MS, pipeline.close());
  }
}

async function run(
  pipeline: LocalPipeline,
  job: Job,
  { items, leftOut }: Items,
  { out, report: file, json }: ProcessFlags & { readonly out: string },
): Promise<number> {
  const startedAt = new Date();
  const interrupted = untilInterrupted();
  const teller = createTeller(items.length, true);
  teller.line(`${items.length} pictures${leftOut > 0 ? ` (${leftOut} other files left out)` : ''}`);
  const count = { taken: 0, published: 0, before: 0, refused: 0, succeeded: 0, failed: 0 };
  const work = async (item: Item): Promise<Row> => {
    count.taken++;
    const row = interrupted.aborted ? notDone(item) : await processItem(pipeline, job, item, out, interrupted);
    if (row.outcome === 'succeeded') count.succeeded++;
    else count.failed++;
    if (row.code !== undefined) teller.line(`failed    ${item.input}: ${row.code}: ${row.message ?? ''}`);
    teller.update(count);
    return row;
  };
  const known = new Map<Item, Row>();
  const all = async () => {
    const each = mapInOrder(items, pipeline.atOnce, async (item) => ({ item, row: await work(item) }));
    for await (const { item, row } of each) known.set(item, row);
  };
  await untilStopped(all(), interrupted);
  teller.end();
  const rows = items.map((item) => known.get(item) ?? notDone(item));
  const report = reportOf(rows, startedAt, interrupted.aborted);
  if (file !== undefined) writeFileSync(file, reportFile(file, report));
  if (json) printJson(report);
  teller.block(summary(report));
  if (interrupted.aborted) return INTERRUPTED;
  return rows.every(({ outcome }) => outcome === 'succeeded') ? 0 : 1;
}

async function processItem(
  pipeline: LocalPipeline,
  job: Job,
  item: Item,
  out: string,
  signal: AbortSignal,
): Promise<Row> {
  try {
    const bytes = await pipeline.read(item.input, signal);
    const { encoded, format, totalMs } = await pipeline.process(job, bytes, signal);
    const saved = join(out, `${item.out}.${format.extension}`);
    makeFolder(dirname(resolve(saved)));
    writeFileSync(saved, encoded.bytes);
    return { input: item.input, outcome: 'succeeded', saved, totalMs };
  } catch (thrown) {
    if (signal.aborted) return notDone(item);
    if (!(thrown instanceof JobError || thrown instanceof ClientError) && !('syscall' in (thrown as object)))
      throw thrown;
    const code = 'code' in (thrown as object) ? String((thrown as { code: unknown }).code) : 'FAILED';
    return { input: item.input, outcome: 'failed', code, message: (thrown as Error).message };
  }
}

const notDone = ({ input }: Item): Row => ({ input, outcome: 'not done' });
