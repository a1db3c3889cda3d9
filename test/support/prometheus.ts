/** A Prometheus of a test's own, with the rules of k8s/monitoring on a clock that runs sixty times as fast. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RuleGroup, ruleGroups } from '../../scripts/dev/parts/rules.js';
import { configure } from '../../scripts/dev/parts/prometheus.js';
import { answers } from '../../scripts/dev/parts/probe.js';
import { localDir } from '../../scripts/dev/stack/paths.js';
import { freePort } from '../../scripts/dev/stack/ports.js';
import { until } from './scene.js';

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Prometheus {
  /** What PromQL says now. @throws Error with Prometheus' own for a query that it does not understand */
  query(expr: string): Promise<Sample[]>;
  /** More workers to ask. */
  watch(ports: readonly number[]): Promise<void>;
  close(): Promise<void>;
}

/** Every minute in a rule is a second here, whether it is looked back for or waited for; each rule is asked every second. */
export const hurried = (groups: readonly RuleGroup[]): RuleGroup[] =>
  groups.map(({ name, rules }) => ({
    ...{ name, interval: '1s' },
    rules: rules.map((rule) => ({
      ...rule,
      expr: inSeconds(rule.expr),
      ...(rule.for !== undefined && { for: inSeconds(rule.for) }),
    })),
  }));

const inSeconds = (text: string) => text.replaceAll(/\b(\d+)m\b/g, '$1s');

/** @param targets ports of this machine, by job */
export async function startPrometheus(
  targets: Readonly<Record<string, readonly number[]>>,
  marker: Readonly<Record<string, string>>,
): Promise<Prometheus> {
  const folder = await mkdtemp(join(localDir, 'test-prometheus-'));
  const port = await freePort();
  const args = await configure({
    ...{ folder, port, targets, rules: hurried(ruleGroups()) },
    ...{ scrapeEvery: '1s', evaluateEvery: '1s' },
  });
  const child: ChildProcess = spawn('prometheus', args, { env: { ...process.env, ...marker }, stdio: 'ignore' });
  const exit = once(child, 'exit');
  const base = `http://127.0.0.1:${port}`;
  await until(() => answers(`${base}/-/ready`).catch(() => false), 15_000);
  return {
    async query(expr) {
      const body = new URLSearchParams({ query: expr });
      const answer = await fetch(`${base}/api/v1/query`, { method: 'POST', body });
      const { status, error, data } = (await answer.json()) as {
        status: string;
        error?: string;
        data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
      };
      if (status !== 'success' || !data) throw new Error(`${error ?? status}: ${expr}`);
      return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    watch: (ports) =>
      writeFile(
        join(folder, 'targets/more.json'),
        JSON.stringify([{ targets: ports.map((one) => `127.0.0.1:${one}`) }]),
      ),
    async close() {
      child.kill('SIGTERM');
      await exit;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
