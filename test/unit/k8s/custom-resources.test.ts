import { describe, expect, it } from 'vitest';
import { isCustom, problemsOf } from '../../../scripts/release/k8s/custom-resources.js';

const scaled = {
  ...{ apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name: 'workers' } },
  spec: {
    scaleTargetRef: { name: 'workers' },
    triggers: [{ type: 'prometheus', metadata: { threshold: '40' } }],
  },
};

describe('custom resources are checked strictly', () => {
  it('accepts what is defined', () => expect(problemsOf(scaled)).toEqual([]));

  it.each([
    ['an unknown field', { ...scaled, spec: { ...scaled.spec, minReplicas: 1 } }, /minReplicas/],
    [
      'one deep inside',
      { ...scaled, spec: { ...scaled.spec, triggers: [{ ...scaled.spec.triggers[0], metdata: {} }] } },
      /metdata/,
    ],
    ['a field at the top', { ...scaled, specs: {} }, /specs/],
    ['a missing field', { ...scaled, spec: { triggers: scaled.spec.triggers } }, /scaleTargetRef/],
    [
      'a number for a text',
      { ...scaled, spec: { ...scaled.spec, triggers: [{ type: 'x', metadata: { threshold: 40 } }] } },
      /threshold must be string/,
    ],
    ['an unknown kind', { ...scaled, kind: 'ScaledJob' }, /no definition/],
  ])('refuses %s', (_, manifest, problem) => expect(problemsOf(manifest).join('\n')).toMatch(problem));

  it.each([
    ['v1', false],
    ['apps/v1', false],
    ['networking.k8s.io/v1', false],
    ['keda.sh/v1alpha1', true],
    ['monitoring.googleapis.com/v1', true],
  ])('%s: %s', (apiVersion, custom) => expect(isCustom({ ...scaled, apiVersion })).toBe(custom));
});
