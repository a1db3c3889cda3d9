/** Runs checks concurrently, each within its own time limit. A check that fails does not stop the others. */
import { NoAnswer, within } from '../../adapters/within.js';
import { type Check, fault, type Result, skipped } from './check.js';
import type { Deployment } from './deployment.js';

export type Finding = Result & { readonly name: string };

export interface Limits {
  /** Time limit for one check, in milliseconds, from when the checks that it needs have ended. */
  readonly checkMs: number;
  /** Time limit for all checks, in milliseconds. */
  readonly allMs: number;
}

const LIMITS: Limits = { checkMs: 5_000, allMs: 9_000 };

/** @returns the findings in the order of the list */
export async function examine(
  checks: readonly Check[],
  deployment: Deployment,
  limits: Limits = LIMITS,
): Promise<Finding[]> {
  const endsAt = performance.now() + limits.allMs;
  const outcomes = new Map<string, Promise<readonly Result[]>>();
  for (const check of checks) outcomes.set(check.name, runAfterNeeds(check, outcomes, deployment, limits, endsAt));
  const findings: Finding[] = [];
  for (const [name, results] of outcomes) findings.push(...(await results).map((result) => ({ ...result, name })));
  return findings;
}

async function runAfterNeeds(
  check: Check,
  outcomes: ReadonlyMap<string, Promise<readonly Result[]>>,
  deployment: Deployment,
  { checkMs }: Limits,
  endsAt: number,
): Promise<readonly Result[]> {
  for (const need of check.needs) {
    const before = outcomes.get(need);
    if (!before) throw new TypeError(`${check.name}: expected ${need} before it in the list`);
    const results = await before;
    if (results.some(({ verdict }) => verdict === 'fault')) return [skipped(`${need} found a fault`)];
    if (results.some(({ verdict }) => verdict === 'skipped')) return [skipped(`${need} was skipped`)];
  }
  return run(check, deployment, Math.min(checkMs, Math.max(1, endsAt - performance.now())));
}

async function run(check: Check, deployment: Deployment, limitMs: number): Promise<readonly Result[]> {
  const over = new AbortController();
  try {
    return await within(limitMs, check.name, () => check.run(deployment, over.signal));
  } catch (thrown) {
    if (thrown instanceof NoAnswer) {
      return [
        fault(
          `no answer within ${Math.round(limitMs / 100) / 10} s`,
          'run it again; if it is late again, look at the service and at the network between it and this machine',
        ),
      ];
    }
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return [
      fault(`the check failed: ${reason}`, 'run it again; if it fails again, docs/failures.md says what follows'),
    ];
  } finally {
    over.abort(new Error(`${check.name} is over`));
  }
}
