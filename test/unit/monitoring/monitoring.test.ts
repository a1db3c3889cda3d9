/** Dashboards, alerts and runbooks name what there is. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dashboards } from '../../../scripts/release/dashboards/index.js';
import { FAILED_BY_US } from '../../../scripts/release/monitoring/codes.js';
import { GPU, metricsIn, PROCESS, PUBSUB, TRITON } from '../../support/other-metrics.js';
import { queriesOf } from '../../support/queries.js';
import { ruleGroups } from '../../../scripts/dev/parts/rules.js';
import { root } from '../../../scripts/dev/stack/paths.js';
import { readText, readYaml } from '../../support/deploy.js';

const rules = ruleGroups().flatMap(({ rules }) => rules);
const alerts = rules.flatMap(({ alert, ...rule }) => (alert === undefined ? [] : [{ alert, ...rule }]));
const pages = readdirSync(join(root, 'docs/runbooks')).filter((name) => name !== 'README.md');
const own = [...readText('docs/metrics.md').matchAll(/^\| `(\w+)` +\| (\w+)/gm)].flatMap(([, name = '', type = '']) =>
  type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
);
/** A circuit that is shut, and a replica that is well, have no series. */
const SEEN_ONLY_IN_TROUBLE = ['imagen_model_circuit_open', 'imagen_replica_failing', 'imagen_bucket_unavailable'];
const recorded = rules.flatMap(({ record }) => record ?? []);
const known = [...own, ...recorded, ...TRITON, ...GPU, ...PUBSUB, ...PROCESS];
const queries = Object.entries(dashboards).flatMap(([name, board]) =>
  queriesOf(board.build()).map(({ panel, expr }) => ({ where: `${name}: ${panel}`, expr })),
);

describe('alerts', () => {
  it.each(alerts)('$alert has a runbook, a severity, and says what it is', ({ alert, labels, annotations }) => {
    expect(annotations?.runbook_url).toBe(`docs/runbooks/${alert}.md`);
    expect(pages).toContain(`${alert}.md`);
    expect(['critical', 'warning', 'info']).toContain(labels?.severity);
    expect(annotations?.summary).toMatch(/\w/);
    expect(annotations?.description).toMatch(/\{\{ \$value|\d+ minutes/);
  });

  it.each(pages)('%s is about an alert, and in the list', (page) => {
    const name = page.replace(/\.md$/, '');
    expect(alerts.map(({ alert }) => alert)).toContain(name);
    expect(readText('docs/runbooks/README.md')).toContain(`[${name}](${page})`);
    const text = readText(`docs/runbooks/${page}`);
    for (const part of ['# ', '**It means**', '**Users see**', '## Look here first', '## Do this', '## It is over']) {
      expect(text).toContain(part);
    }
  });

  it('each is tried on series on which it fires, and with all that it looks at on those of a healthy hour', () => {
    type Series = { tests: { name?: string; input_series: { series: string }[] }[] };
    const [faults, healthy] = ['faults', 'healthy'].map((name) => readYaml(`test/alerts/${name}.test.yaml`) as Series);
    const fire = faults?.tests.map(({ name }) => name);
    const there = healthy?.tests.flatMap(({ input_series }) => input_series.map(({ series }) => series.split('{')[0]));
    for (const { alert, expr } of alerts) {
      expect(fire).toContain(alert);
      const needed = metricsIn(expr).filter((name) => !recorded.includes(name) && !SEEN_ONLY_IN_TROUBLE.includes(name));
      expect(there).toEqual(expect.arrayContaining(needed));
    }
  });

  it('count the failures that dashboards count', () => {
    expect(rules.find(({ record }) => record?.includes('failed_by_us'))?.expr).toContain(FAILED_BY_US);
  });

  it('look at Pub/Sub only where they are let', () => {
    const namespaced = ruleGroups().filter(({ name }) => !name.includes('imagen-alerts/backlog'));
    for (const { expr } of namespaced.flatMap(({ rules }) => rules)) expect(expr).not.toContain('pubsub');
  });
});

describe('queries', () => {
  it.each([...queries, ...rules.map(({ alert, record, expr }) => ({ where: alert ?? record ?? '', expr }))])(
    '$where asks for metrics that there are',
    ({ expr }) => {
      const asked = metricsIn(expr);
      expect(asked.length).toBeGreaterThan(0);
      expect(known).toEqual(expect.arrayContaining(asked));
    },
  );

  it('a metric that there is none of would be found', () => {
    expect(metricsIn('sum by (model) (rate(imagen_nonsense_total{a="b_c"}[5m])) > 3 and on (x_y) up')).toEqual([
      ...['imagen_nonsense_total', 'up'],
    ]);
  });

  it('every panel says what it means', () => {
    for (const board of Object.values(dashboards)) {
      for (const panel of board.build().panels ?? []) {
        if (panel.type !== 'row' && panel.type !== 'text')
          expect(panel).toHaveProperty('description', expect.stringMatching(/\w{3}/));
      }
    }
  });

  it('every runbook that a panel names is there', () => {
    const named = [
      ...JSON.stringify(Object.values(dashboards).map((board) => board.build())).matchAll(
        /unbooks? ([A-Z]\w+)(?: and ([A-Z]\w+))?/g,
      ),
    ];
    expect(named.length).toBeGreaterThan(5);
    for (const [, ...names] of named) for (const name of names) if (name) expect(pages).toContain(`${name}.md`);
  });
});
