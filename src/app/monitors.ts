/** Checks that a worker repeats beside its work, and their log lines. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelServer } from '../domain/ports.js';
import type { Routes } from '../domain/routes.js';
import type { Logger } from '../telemetry/logger.js';
import { createOutage, type Outage } from '../telemetry/outage.js';
import type { CostModel } from '../scheduling/cost-model.js';
import type { Guard } from '../worker/canary-guard.js';
import type { Service } from './lifecycle.js';

/** Time limit for one read of Triton's statistics, in milliseconds. */
const POLL_LIMIT_MS = 2_000;
const TRITON_POLL_MS = 500;
/** How often to check what is unavailable, in milliseconds. */
const WATCH_MS = 1_000;
/** An outage may last for days, but its cause may become clear only after a while. */
const PACE = { remindMs: 600_000, changedMs: 10_000 };

/**
 * Runs `work` at the start, and again after each pause of `everyMs`, until stopped.
 * @param work never throws
 */
export function repeat(name: string, everyMs: number, work: (signal: AbortSignal) => Promise<void>): Service {
  const stopping = new AbortController();
  const again = async () => {
    await work(stopping.signal);
    if (!stopping.signal.aborted) timer = setTimeout(() => void again(), everyMs).unref();
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    name,
    start: () => void again(),
    stop() {
      stopping.abort();
      clearTimeout(timer);
    },
  };
}

/** Waits until there is a model. Waiting costs nothing, while pulling a job would cost a delivery attempt. */
export async function waitForModels(models: ModelServer, log: Logger, signal: AbortSignal): Promise<void> {
  const noModel = createOutage({
    away: (unready, waitedSeconds) =>
      log.warn({ unready, waitedSeconds }, 'Triton serves no model yet; "imagen doctor" looks for the reason'),
    back: (waitedSeconds) => log.info({ waitedSeconds }, 'Triton serves a model'),
  });
  for (;;) {
    try {
      await models.refresh(signal);
      const some = models.contracts().size > 0;
      noModel.tell(some ? undefined : Object.fromEntries(models.unready()));
      if (some) return;
    } catch {
      signal.throwIfAborted(); // otherwise it has been reported as an outage
    }
    await sleep(TRITON_POLL_MS, undefined, { signal });
  }
}

/** Reads Triton's statistics, from which the planner learns. */
export async function pollCosts(costs: CostModel, models: ModelServer, log: Logger): Promise<void> {
  await costs.poll(models, AbortSignal.timeout(POLL_LIMIT_MS)).catch((error: unknown) => {
    log.debug({ error }, 'cannot read the statistics of Triton; the planner goes on with what it knows');
  });
}

/** @returns a function that reads the decisions about arms; it never throws, and reports a failure once */
export function watchArms(guard: Guard, log: Logger): (signal: AbortSignal) => Promise<void> {
  const outage = createOutage({
    away: (error, awaySeconds) =>
      log.warn({ error, awaySeconds }, 'cannot read which arms were stopped; what is known so far holds'),
    back: (awaySeconds) => log.info({ awaySeconds }, 'can read again which arms were stopped'),
  });
  return async (signal) => {
    try {
      await guard.poll(signal);
      outage.tell(undefined);
    } catch (error) {
      if (!signal.aborted) outage.tell(error);
    }
  };
}

/**
 * Versions that the routes name and Triton does not serve, so that their jobs go elsewhere, with the reason, by
 * `model/version`.
 */
export function unserved(routes: Routes, models: Pick<ModelServer, 'contracts' | 'unready'>): Map<string, string> {
  const contracts = models.contracts();
  if (contracts.size === 0) return new Map(); // nothing has been read yet
  const missing = routes.named.filter(({ model, version }) => {
    return !models.unready().has(model) && !contracts.get(model)?.versions.has(version);
  });
  return new Map(missing.map((one) => [`${one.model}/${one.version}`, whyUnserved(one, routes)]));
}

function whyUnserved({ model, version }: Routes['named'][number], { shadows }: Routes): string {
  const isShadow = shadows.some((one) => one.model === model && one.version === version);
  const so = isShadow ? 'its shadows fail, and its jobs go to another version' : 'its jobs go to another version';
  return `the routes file names it, and Triton does not serve it: ${so}`;
}

const FAULTS = {
  process: 'its process has ended, and the server has not started another',
  device: "its GPU's context is broken until its process is started again",
  memory: 'there is not enough memory',
  hang: 'a request was not answered in time',
} as const;

/** The faults of single replicas of Triton, by `model/version at replica`. */
export function failing(
  sick: readonly {
    readonly model: string;
    readonly version: string;
    readonly replica: string;
    readonly fault: keyof typeof FAULTS;
  }[],
): Map<string, string> {
  return new Map(
    sick.map(({ model, version, replica, fault }) => [`${model}/${version} at ${replica}`, FAULTS[fault]]),
  );
}

/** The name of what is watched in the log, as a field and in words. */
export interface Watched {
  readonly field: 'model' | 'bucket' | 'topic';
  readonly name: string;
}

/**
 * Logs when a model (or a version of one), a bucket or a topic becomes unavailable, with the reason, and when it is back.
 */
export function watchOutages(
  { field, name }: Watched,
  outOfUse: () => ReadonlyMap<string, string>,
  log: Logger,
): Service {
  const outages = new Map<string, Outage>();
  const check = () => {
    const now = outOfUse();
    for (const key of now.keys()) {
      const lines = {
        away: (reason: unknown, awaySeconds: number) =>
          log.warn({ [field]: key, reason, awaySeconds }, `${name} cannot be used`),
        back: (awaySeconds: number) => log.info({ [field]: key, awaySeconds }, `${name} can be used again`),
      };
      if (!outages.has(key)) outages.set(key, createOutage(lines, PACE));
    }
    for (const [key, outage] of outages) {
      outage.tell(now.get(key));
      if (outage.well) outages.delete(key);
    }
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    name: `the watch for ${name} that is out of use`,
    start: () => void (timer = setInterval(check, WATCH_MS).unref()),
    stop: () => clearInterval(timer),
  };
}
