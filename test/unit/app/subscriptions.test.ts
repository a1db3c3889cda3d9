import { expect, it } from 'vitest';
import { fairPart } from '../../../src/app/subscriptions.js';
import { subscriptions } from '../../../src/config/readers.js';
import { Expected } from '../../../src/config/setting.js';

it.each([
  ['all', [48]],
  ['fast,slow', [24, 24]],
  ['tenant-a,tenant-b,tenant-c,others', [24, 24, 24, 24]],
  ['fast=3,slow', [36, 12]],
  ['fast=1000,slow', [48, 1]],
])('holds of 48 messages for the subscriptions %s: %j', (text, expected) => {
  const all = subscriptions(text);
  if (all instanceof Expected) throw new Error('expected subscriptions');
  expect(all.map((one) => fairPart(one, all, 48))).toEqual(expected);
});
