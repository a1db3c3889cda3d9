import { expect, it } from 'vitest';
import { parseRoutes } from '../../../src/domain/routes.js';
import { versionFor } from '../../../src/scheduling/version-for.js';

const experiment = {
  name: 'x',
  arms: [
    { name: 'old', version: '1', weight: 0 },
    { name: 'new', version: '2', weight: 1 },
  ],
};
const routes = parseRoutes(JSON.stringify({ models: { up: { default: '1', experiment }, down: { default: '9' } } }));
const served = (...versions: string[]) =>
  new Map(
    [
      ['up', versions],
      ['down', versions],
    ].map(([name, all]) => {
      return [name as string, { versions: new Map((all as string[]).map((one) => [one, {} as never])) }] as const;
    }),
  );
const rules = { routes, stopped: () => false };

it.each([
  ['that it names', { name: 'up', version: '7', key: 'k' }, served('1', '2'), rules, '7'],
  ['of its arm', { name: 'up', key: 'k' }, served('1', '2', '3'), rules, '2'],
  [
    'that is the default, where its arm was stopped',
    { name: 'up', key: 'k' },
    served('1', '2'),
    { ...rules, stopped: () => true },
    '1',
  ],
  ['that is the default, where that of its arm is not served', { name: 'up', key: 'k' }, served('1', '3'), rules, '1'],
  ['that is the default, where it has no key', { name: 'up' }, served('1', '2'), rules, '1'],
  ['that is the newest, where the default is not served', { name: 'down', key: 'k' }, served('1', '2'), rules, '2'],
  ['of no model, where it is not served', { name: 'gone', key: 'k' }, served('1'), rules, undefined],
])('a job gets the version %s', (_which, need, contracts, how, expected) => {
  expect(versionFor({ kind: 'model', ...need }, contracts, how)).toBe(expected);
});
