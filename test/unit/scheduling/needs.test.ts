import { describe, expect, it } from 'vitest';
import type { Need } from '../../../src/domain/errors.js';
import { parseJob } from '../../../src/domain/job.js';
import { isPartOf, needLabel, needsOf, prefixOf, wholeOf } from '../../../src/scheduling/needs.js';

const places = {
  statePrefix: 'gs://both/records/',
  outputPrefix: 'gs://both/results',
  allowedInputs: ['gs://in/', 'gs://in/tenants/a'],
  allowedOutputs: ['gs://both/results', 'gs://out'],
};

describe('needs', () => {
  it('are the places of the record, the input and the result, and the models', () => {
    const job = { jobId: 'j', operations: ['up', 'cut', 'up'], input: { uri: 'gs://in/tenants/a/x.jpg' } };
    expect(needsOf(parseJob(Buffer.from(JSON.stringify(job))), places).map(needLabel)).toEqual([
      ...['read bucket both/records', 'create bucket both/records'],
      ...['read bucket in/tenants/a', 'create bucket both/results', 'model up', 'model cut'],
    ]);
  });

  it('are of the innermost prefix that ends at a slash of the name, and of the bucket where there is none', () => {
    const label = (name: string, bucket = 'in') => needLabel(prefixOf(places, { bucket, name }, 'read'));
    expect([label('tenants/a/x'), label('tenants/ab/x'), label('x', 'elsewhere')]).toEqual([
      ...['read bucket in/tenants/a', 'read bucket in', 'read bucket elsewhere'],
    ]);
  });

  it.each<[Need, string]>([
    [{ kind: 'model', name: 'up', version: '3' }, 'version 3 of model up'],
    [{ kind: 'bucket', name: 'in', access: 'read', folder: 'a', object: 'a/x' }, 'object a/x of read bucket in/a'],
  ])('are named as a part of the whole: %j', (need, label) => {
    expect(needLabel(need)).toBe(label);
    expect(isPartOf(label, needLabel(wholeOf(need)))).toBe(true);
    expect(isPartOf(label, label)).toBe(false);
  });

  it('have names that fit an attribute and are their own, whatever they are about', () => {
    const long = 'ü'.repeat(512);
    const label = (object: string) => {
      const need = { kind: 'bucket', name: 'b'.repeat(222), access: 'create', folder: long, object } as const;
      expect(isPartOf(needLabel(need), needLabel(wholeOf(need)))).toBe(true);
      return needLabel(need);
    };
    expect(Buffer.byteLength(label(long))).toBeLessThan(1_024);
    expect(label(`${long.slice(1)}a`)).not.toBe(label(`${long.slice(1)}b`));
  });
});
