import { describe, expect, it } from 'vitest';
import { type Keep, type LifecycleRule, mergeRules } from '../../../src/adapters/gcs/lifecycle.js';

const records: Keep = { folder: 'records', suffixes: ['.json', '.begun'], days: 30, leastDays: 15 };
const uploads: Keep = { folder: 'incoming', suffixes: [], days: 7 };
const everything: Keep = { folder: '', suffixes: [], days: 7 };

const remove = (condition: LifecycleRule['condition']): LifecycleRule => ({ action: { type: 'Delete' }, condition });
const forRecords = remove({ age: 30, matchesPrefix: ['records/'], matchesSuffix: ['.json', '.begun'] });
const forUploads = remove({ age: 7, matchesPrefix: ['incoming/'] });
const toColdline: LifecycleRule = {
  action: { type: 'SetStorageClass', storageClass: 'COLDLINE' },
  condition: { age: 10, matchesPrefix: ['incoming/'] },
};
const oldVersions = remove({ numNewerVersions: 3 });

describe('mergeRules', () => {
  it('makes a rule for each place of a bucket without any', () => {
    expect(mergeRules([], [records, uploads])).toEqual({
      rules: [forRecords, forUploads],
      differences: ['records/: kept → *.begun, *.json deleted after 30 days', 'incoming/: kept → deleted after 7 days'],
      warnings: [],
    });
  });

  it('finds nothing to do in what it has made, in whatever order the service lists it', () => {
    const found = [forUploads, remove({ ...forRecords.condition, matchesSuffix: ['.begun', '.json'] })];
    expect(mergeRules(found, [records, uploads])).toMatchObject({ differences: [], warnings: [] });
    expect(mergeRules([remove({ age: 7 })], [everything]).differences).toEqual([]);
  });

  it('changes its own and keeps those of others, in their order', () => {
    const found = [toColdline, remove({ age: 90, matchesPrefix: ['incoming/'] }), oldVersions, forRecords];
    expect(mergeRules(found, [records, uploads])).toEqual({
      rules: [toColdline, oldVersions, forRecords, forUploads],
      differences: ['incoming/: deleted after 90 days → deleted after 7 days'],
      warnings: [],
    });
  });

  it('takes its own away where things are to be kept', () => {
    expect(mergeRules([toColdline, forUploads], [{ ...uploads, days: 'for ever' }])).toMatchObject({
      rules: [toColdline],
      differences: ['incoming/: deleted after 7 days → kept'],
    });
    expect(mergeRules([], [{ ...uploads, days: 'for ever' }]).differences).toEqual([]);
  });

  it('leaves alone what it was not asked about', () => {
    expect(mergeRules([forUploads, forRecords], [records])).toMatchObject({
      rules: [forUploads, forRecords],
      differences: [],
    });
  });

  it('makes one rule of two for one place', () => {
    const found = [forUploads, remove({ age: 3, matchesPrefix: ['incoming/'] })];
    expect(mergeRules(found, [uploads])).toMatchObject({
      rules: [forUploads],
      differences: ['incoming/: deleted after 7 days; deleted after 3 days → deleted after 7 days'],
    });
  });

  it('does not take a rule for the whole bucket, or for more than its folder, for its own', () => {
    const whole = remove({ age: 400 });
    const wider = remove({ age: 400, matchesPrefix: ['incoming/', 'other/'] });
    expect(mergeRules([whole, wider], [uploads]).rules).toEqual([whole, wider, forUploads]);
    expect(mergeRules([forUploads], [everything]).rules).toEqual([forUploads, remove({ age: 7 })]);
  });

  it.each([
    ['all of the bucket', remove({ age: 3 })],
    ['a part of the folder', remove({ age: 3, matchesPrefix: ['records/a'] })],
    ['a folder around it', remove({ age: 3, matchesPrefix: ['x/', 'rec'] })],
    ['all that ends so', remove({ age: 3, matchesSuffix: ['on'] })],
    ['what is older than a date', remove({ createdBefore: '2030-01-01' })],
  ])("warns of somebody else's rule that deletes records sooner: %s", (_what, rule) => {
    const { rules, warnings } = mergeRules([rule], [records]);
    expect(rules).toContainEqual(rule);
    expect(warnings).toEqual([expect.stringContaining('deletes records/ sooner than after 15 days: {"action"')]);
  });

  it.each([
    ['that is late enough', remove({ age: 15 })],
    ['for another folder', remove({ age: 3, matchesPrefix: ['recordings/'] })],
    ['for other names', remove({ age: 3, matchesSuffix: ['.jpg'] })],
    ['for old versions', oldVersions],
    ['for versions that are not live', remove({ age: 3, isLive: false })],
    ['that deletes nothing', toColdline],
  ])('does not warn of a rule %s', (_what, rule) => {
    expect(mergeRules([rule], [records]).warnings).toEqual([]);
  });
});
