import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { METRICS } from '../../../scripts/lab/autoscale/plant.js';
import { FACTOR, toMs, toSeconds, wholeSeconds } from '../../../scripts/lab/controllers/clock.js';
import { CURVES, SECONDS, timesOf } from '../../../scripts/lab/controllers/curves.js';
import { compress } from '../../../scripts/lab/controllers/manifests.js';
import { answer } from '../../../scripts/lab/controllers/metrics-api.js';
import { Nodes } from '../../../scripts/lab/controllers/nodes.js';
import { compareFigures } from '../../../scripts/lab/controllers/verdict.js';

describe('the compressed clock', () => {
  it('gives Kubernetes whole seconds only', () => {
    expect([15, 300, 600].map(wholeSeconds)).toEqual([2, 40, 80]);
    expect(() => wholeSeconds(10)).toThrow(RangeError);
    expect(toSeconds(toMs(123))).toBeCloseTo(123);
  });

  it('divides the seconds of the shipped autoscalers, and writes down what they leave out', () => {
    const shipped = parse(readFileSync('k8s/worker/hpa.yaml', 'utf8')) as Parameters<typeof compress>[0];
    const { spec } = compress(shipped, { 'imagen-worker': { min: 1, max: 8 } });
    expect(spec).toMatchObject({ minReplicas: 1, maxReplicas: 8 });
    expect(spec.behavior?.scaleDown).toMatchObject({ stabilizationWindowSeconds: 600 / FACTOR });
    expect(spec.behavior?.scaleUp?.policies).toEqual([
      { type: 'Pods', value: 4, periodSeconds: 2 },
      { type: 'Percent', value: 100, periodSeconds: 2 },
    ]);
    expect(() => compress(shipped, {})).toThrow('imagen-worker');
  });
});

describe('the curves', () => {
  it.each(CURVES)('are the same every time, and as heavy as they say: %s', (curve) => {
    const means = { burst: 0.1 + 20 / 45, step: (30 * 0.2 + 30 * 2.5) / 60, day: 1.3 };
    const times = timesOf(curve, 0.3, 11);
    expect(timesOf(curve, 0.3, 11)).toEqual(times);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times.at(-1)).toBeLessThan(SECONDS[curve]);
    expect(times.length / (means[curve] * 0.3 * SECONDS[curve])).toBeCloseTo(1, 1);
  });
});

describe('the nodes of the run', () => {
  const machine = { podSeconds: 20, nodeSeconds: 90, podsPerNode: 2, pricePerHour: 1 };

  it('come late, are shared, and go when they were empty for ten minutes', () => {
    const nodes = new Nodes('worker', machine);
    expect(['a', 'b'].map((pod) => nodes.take(pod, 0).readyAt)).toEqual([-Infinity, -Infinity]);
    expect(nodes.take('c', 0).readyAt).toBe(toMs(90));
    nodes.leave('c', toMs(100));
    expect(nodes.take('d', toMs(699)).readyAt).toBe(toMs(90));
    nodes.leave('d', toMs(700));
    expect(nodes.take('e', toMs(1300)).readyAt).toBe(toMs(1390));
  });
});

describe('the metrics APIs', () => {
  const external = (name: string) => (name === METRICS.backlog ? 12 : undefined);
  const ofPods = (name: string) => (name === METRICS.active ? [{ pod: 'a', value: 7.5 }] : [{ pod: 'a', value: 0.25 }]);
  const ask = (path: string) => answer(`/apis/${path}`, external, ofPods) as { readonly items: readonly object[] };

  it('answer as the adapter and the metrics server do', () => {
    const space = 'v1beta1/namespaces/imagen';
    expect(ask(`external.metrics.k8s.io/${space}/${METRICS.backlog}`).items).toMatchObject([{ value: '12000m' }]);
    expect(ask(`custom.metrics.k8s.io/v1beta2/namespaces/imagen/pods/*/${METRICS.active}`).items).toMatchObject([
      { describedObject: { kind: 'Pod', name: 'a' }, value: '7500m' },
    ]);
    expect(ask(`metrics.k8s.io/${space}/pods`).items).toMatchObject([
      { metadata: { name: 'a' }, window: '4s', containers: [{ usage: { cpu: '250m' } }] },
    ]);
  });

  it('have nothing for a sample that cannot be seen yet, and no other paths', () => {
    expect(ask('external.metrics.k8s.io/v1beta1/namespaces/imagen/other').items).toEqual([]);
    expect(answer('/api', external, ofPods)).toBeUndefined();
    expect(ask('apps/v1/namespaces/imagen/deployments')).toBeUndefined();
  });
});

describe('the verdict', () => {
  const run = { p95: 100, queued: 80, workers: 1000, gpus: 2000 };

  it('names the figures that are further than 15 % from those of the run', () => {
    expect(compareFigures({ ...run, p95: 114, gpus: 1720 }, run).far).toEqual([]);
    expect(compareFigures({ ...run, p95: 116, workers: 840 }, run).far).toEqual(['p95', 'workers']);
    expect(compareFigures({ ...run, p95: NaN }, run).far).toEqual(['p95']);
  });
});
