import { describe, expect, it } from 'vitest';
import { DEFAULT_DOWN, DEFAULT_UP, Hpa, type HpaSpec, type Metric } from '../../../scripts/lab/autoscale/hpa.js';

const perPod: Metric = { type: 'External', name: 'backlog', averageValue: 10 };
const age: Metric = { type: 'External', name: 'age', value: 60 };
const active: Metric = { type: 'Pods', name: 'active', averageValue: 8 };

const spec = (metrics: readonly Metric[], more: Partial<HpaSpec> = {}): HpaSpec => ({
  ...{ minReplicas: 1, maxReplicas: 100, metrics, tolerance: 0.1 },
  ...{ scaleUp: { ...DEFAULT_UP, policies: [{ type: 'Percent', value: 1000, periodSeconds: 15 }] } },
  ...{ scaleDown: { ...DEFAULT_DOWN, stabilizationWindowSeconds: 0 } },
  ...more,
});
const sight = (replicas: number, values: Readonly<Record<string, number>>, ready = replicas, pods = ready) => ({
  ...{ replicas, ready },
  read: ({ name }: Metric) => {
    const value = values[name];
    return value === undefined ? undefined : { value, pods };
  },
});

describe('the horizontal pod autoscaler', () => {
  it.each([
    { backlog: 95, replicas: 4, wanted: 10 },
    { backlog: 41, replicas: 4, wanted: 4 }, // within the tolerance of a tenth
    { backlog: 45, replicas: 4, wanted: 5 },
    { backlog: 11, replicas: 4, wanted: 2 },
    { backlog: 0, replicas: 4, wanted: 1 },
    { backlog: 5000, replicas: 40, wanted: 100 },
  ])('shares an external metric out: $backlog jobs at 10 each', ({ backlog, replicas, wanted }) => {
    expect(new Hpa(spec([perPod])).decide(0, sight(replicas, { backlog }))).toBe(wanted);
  });

  it('multiplies the pods that are ready by an external value over its target', () => {
    expect(new Hpa(spec([age])).decide(0, sight(4, { age: 120 }))).toBe(8);
    expect(new Hpa(spec([age])).decide(0, sight(4, { age: 120 }, 2))).toBe(4);
    expect(new Hpa(spec([age])).decide(0, sight(4, { age: 20 }))).toBe(2);
  });

  it('counts pods that are not ready as idle when more are wanted', () => {
    expect(new Hpa(spec([active])).decide(0, sight(2, { active: 32 }))).toBe(4);
    // Two of four busy with 16 each: the other two will take their share, which makes 8 each.
    expect(new Hpa(spec([active])).decide(0, sight(4, { active: 32 }, 2))).toBe(4);
    expect(new Hpa(spec([active])).decide(0, sight(3, { active: 32 }, 2))).toBe(4);
  });

  it('counts ready pods without a sample as idle when more are wanted, and as on target when fewer are', () => {
    // Two report 16 each, the third nothing: 32 on three are too many by a third.
    expect(new Hpa(spec([active])).decide(0, sight(3, { active: 32 }, 3, 2))).toBe(4);
    // Two report nothing, two are counted with 8 each: no fewer than these two.
    expect(new Hpa(spec([active])).decide(0, sight(4, { active: 0 }, 4, 2))).toBe(2);
    expect(new Hpa(spec([active])).decide(0, sight(4, { active: 0 }, 4, 4))).toBe(1);
    expect(new Hpa(spec([active])).decide(0, sight(4, { active: 0 }, 4, 0))).toBe(4);
  });

  it('takes the largest proposal, and takes nothing away while a metric is missing', () => {
    const hpa = () => new Hpa(spec([perPod, active]));
    expect(hpa().decide(0, sight(4, { backlog: 90, active: 8 }))).toBe(9);
    expect(hpa().decide(0, sight(4, { backlog: 10 }))).toBe(4);
    expect(hpa().decide(0, sight(4, { backlog: 90 }))).toBe(9);
    expect(hpa().decide(0, sight(4, {}))).toBe(4);
  });

  it('waits with fewer pods until the window has seen nothing else', () => {
    const hpa = new Hpa(spec([perPod], { scaleDown: { ...DEFAULT_DOWN, stabilizationWindowSeconds: 60 } }));
    expect(hpa.decide(0, sight(9, { backlog: 90 }))).toBe(9);
    for (const at of [15, 30, 45]) expect(hpa.decide(at, sight(9, { backlog: 10 }))).toBe(9);
    expect(hpa.decide(60, sight(9, { backlog: 10 }))).toBe(1);
  });

  it('waits with more pods as long as its own window says', () => {
    const hpa = new Hpa(
      spec([perPod], { scaleUp: { ...DEFAULT_UP, stabilizationWindowSeconds: 30, policies: DEFAULT_UP.policies } }),
    );
    expect(hpa.decide(0, sight(1, { backlog: 0 }))).toBe(1);
    expect(hpa.decide(15, sight(1, { backlog: 40 }))).toBe(1);
    expect(hpa.decide(30, sight(1, { backlog: 40 }))).toBe(4);
  });

  it('adds four pods or doubles them, whichever is more, in 15 s', () => {
    const hpa = new Hpa(spec([perPod], { scaleUp: DEFAULT_UP }));
    const steps: number[] = [];
    for (let at = 0, replicas = 1; at < 60; at += 15)
      steps.push((replicas = hpa.decide(at, sight(replicas, { backlog: 1000 }))));
    expect(steps).toEqual([5, 10, 20, 40]);
  });

  it('remembers what it has done within the period of a policy', () => {
    const slow = { ...DEFAULT_UP, policies: [{ type: 'Pods', value: 1, periodSeconds: 60 } as const] };
    const hpa = new Hpa(spec([perPod], { scaleUp: slow }));
    expect(hpa.decide(0, sight(1, { backlog: 1000 }))).toBe(2);
    expect(hpa.decide(15, sight(2, { backlog: 1000 }))).toBe(2);
    expect(hpa.decide(60, sight(2, { backlog: 1000 }))).toBe(3);
  });

  it('removes by the policy that permits the most, or the least where told so', () => {
    const policies = [
      { type: 'Pods', value: 4, periodSeconds: 60 },
      { type: 'Percent', value: 10, periodSeconds: 60 },
    ] as const;
    const rules = { stabilizationWindowSeconds: 0, policies };
    const down = (selectPolicy: 'Max' | 'Min') =>
      new Hpa(spec([perPod], { scaleDown: { ...rules, selectPolicy } })).decide(0, sight(80, { backlog: 0 }));
    expect(down('Max')).toBe(72);
    expect(down('Min')).toBe(76);
  });
});
