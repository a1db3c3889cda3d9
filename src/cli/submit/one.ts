/** `imagen submit` of one picture. */
import { randomBytes } from 'node:crypto';
import { type Client, createClient } from '../../client/client.js';
import { readPicture } from '../../client/picture.js';
import { stemOf, type SubmitRequest } from '../../client/request.js';
import type { Submitted } from '../../client/submit.js';
import { readConfig, TRACING_SETTINGS } from '../../config/index.js';
import type { Completion } from '../../domain/completion.js';
import { jobAttributes, originalOf, redriveId } from '../../domain/job.js';
import { objectUri, under } from '../../domain/uri.js';
import { contextIn, inSpan } from '../../tracing/spans.js';
import { startTracing } from '../../tracing/tracing.js';
import { asUsage, checkedJob, checkQuality, describeOperations } from '../operations.js';
import { checkOutputFile, formatOfExtension, STDOUT } from '../output-file.js';
import { reachToPublish } from '../reach.js';
import { printBytes, printJson, say } from '../output.js';
import { atMost, CommandFailed, UsageError } from '../usage.js';
import { type Flags, waitMsOf, wishOf } from './flags.js';
import { describe, describeIgnored } from './tell.js';
import { NOT_FOUND_OUT, whyItWaits } from './why.js';

/** Time limit for sending the spans of this command, in milliseconds. */
const FLUSH_MS = 2_000;
/** Time limit for reading the local file, in milliseconds. */
const READ_LIMIT_MS = 60_000;
/** How long to wait for the outcome unless `--wait-seconds` says otherwise, in milliseconds. */
const WAIT_MS = 600_000;
/** Time that reasons may take after the end of the wait, in milliseconds. */
const LAST_LOOK_MS = 2_000;
/** Pause between two lines about a job that is waited for, in milliseconds. */
const TELL_MS = 5_000;

/** @returns the exit code */
export async function submitOne(file: string, flags: Flags, env: NodeJS.ProcessEnv): Promise<number> {
  const config = readConfig(env, ['uploadPrefix', 'maxInputBytes', ...TRACING_SETTINGS]);
  const client = createClient({ env });
  const waitMs = waitMsOf(flags) ?? WAIT_MS;
  const request = requestOf(file, flags);
  // Everything that the flags say is checked before the file is read.
  const uri = file.startsWith('gs://') ? file : objectUri(under(config.uploadPrefix, 'file'));
  const job = checkedJob({ ...request, input: { uri } });
  const tracing = await startTracing(config, undefined, (what, reason) => say(`${what}: ${reason}`));
  try {
    // A calling program passes its trace in these variables, by OpenTelemetry's convention.
    const parent = contextIn({ traceparent: env.TRACEPARENT, tracestate: env.TRACESTATE });
    const attributes = () => ({ 'imagen.job_id': job.jobId });
    // A wrong file is told even if no service can be used.
    await readPicture(file, undefined, config.maxInputBytes, AbortSignal.timeout(READ_LIMIT_MS));
    await reachToPublish(env);
    const submitted = await inSpan('imagen submit', { parent, attributes }, () =>
      client.submit(request, {
        republish: flags.republish ?? false,
        onUpload: (to, bytes) => say(`uploaded   ${to} (${bytes} bytes)`),
      }),
    );
    say(`${WORDS[submitted.state]} ${job.jobId}: ${describeOperations(job)}`);
    const ignored = describeIgnored([submitted]);
    if (ignored !== undefined) say(ignored);
    if (!flags.wait) {
      if (flags.json) printJson(submitted.message, 0);
      return 0;
    }
    return await finish(client, submitted, flags, waitMs, env);
  } catch (error) {
    throw asUsage(error);
  } finally {
    await tracing.stop(FLUSH_MS);
    await client.close();
  }
}

const WORDS = {
  published: 'published ',
  'submitted before': 'in work   ',
  'ended before': 'ended     ',
} as const;

function requestOf(file: string, flags: Flags): SubmitRequest & { readonly jobId: string } {
  if (flags.download !== undefined && !flags.wait)
    throw new UsageError('-o: expected --wait, because it needs the result');
  if (flags.download === STDOUT && flags.json) throw new UsageError('-o -: expected a file, because --json prints');
  const wish = wishOf(flags);
  const inputs = file.startsWith('gs://') ? [] : [file];
  const named =
    flags.download === undefined ? undefined : checkOutputFile('-o', flags.download, inputs, wish.output?.format);
  const format = wish.output?.format ?? named ?? formatOfUri(flags);
  const output = { ...wish.output, ...(format === undefined ? {} : { format }) };
  checkQuality(output);
  const redrive = flags.redriveOf === undefined ? undefined : redriveId(flags.redriveOf, 1);
  const implied = flags.jobId !== undefined && originalOf(flags.jobId) !== flags.jobId;
  return {
    ...wish,
    ...(implied && flags.redriveOf === undefined ? { redriveOf: originalOf(flags.jobId) } : {}),
    ...(Object.keys(output).length > 0 ? { output } : {}),
    priority: flags.priority ?? 'interactive',
    input: file,
    jobId: flags.jobId ?? redrive ?? `${stemOf(file)}-${randomBytes(5).toString('hex')}`,
  };
}

/** The format that the name of the result's object says. A name that says another one than `--format` is warned of. */
function formatOfUri({ outputUri, format }: Flags) {
  const extension = /\.(\w+)$/.exec(outputUri ?? '')?.[1]?.toLowerCase();
  const named = extension === undefined ? undefined : formatOfExtension(extension);
  if (format !== undefined && extension !== undefined && named !== format) {
    say(`warning: --output-uri ${outputUri ?? ''}: the name says ${extension}, and the result is ${format}`);
  }
  return named;
}

/** Waits for the outcome, tells it and saves the result. @returns the exit code */
async function finish(
  client: Client,
  submitted: Submitted,
  flags: Flags,
  waitMs: number,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const completion = submitted.completion ?? (await outcomeOf(client, submitted, waitMs, env));
  if (flags.json) printJson(completion, 0);
  say(describe(completion));
  if (completion.status !== 'succeeded') return 1;
  const { download } = flags;
  if (download === STDOUT) printBytes(await client.download(completion));
  else if (download !== undefined) {
    await client.download(completion, { to: download });
    say(`saved      ${download}`);
  }
  return 0;
}

async function outcomeOf(
  client: Client,
  submitted: Submitted,
  waitMs: number,
  env: NodeJS.ProcessEnv,
): Promise<Completion> {
  const startedAt = Date.now();
  const seconds = () => Math.floor((Date.now() - startedAt) / 1000);
  const limit = AbortSignal.timeout(waitMs);
  const ended = new AbortController();
  const ask = () => whyItWaits(submitted.message, jobAttributes(submitted.message), env, ended.signal);
  let asked: Promise<string[]> | undefined;
  // A short wait asks in the middle of it, so that the reasons are there at its end.
  let tellAt = startedAt + (waitMs > TELL_MS ? TELL_MS : waitMs / 2);
  let told = '';
  const onPause = () => {
    if (Date.now() < tellAt) return;
    tellAt = Date.now() + TELL_MS;
    if (seconds() > 0) say(`waiting    ${seconds()} s`);
    asked = ask();
    void asked.then((reasons) => {
      const now = reasons.join('\n');
      if (now === told || ended.signal.aborted) return;
      told = now;
      for (const reason of reasons) say(`           ${reason}`);
    });
  };
  try {
    return await client.waitFor(submitted, { signal: limit, onPause });
  } catch (error) {
    if (!limit.aborted) throw error;
    const after = seconds();
    const reasons = await atMost(LAST_LOOK_MS, asked ?? ask());
    throw new CommandFailed(`${submitted.jobId}: no outcome after ${after} s; ${reasons?.join('; ') ?? NOT_FOUND_OUT}`);
  } finally {
    ended.abort();
  }
}
