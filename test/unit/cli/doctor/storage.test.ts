/** What storage can say that the emulator never does: settings of buckets, another time of day, that it is away. */
import { describe, expect, it } from 'vitest';
import { connectAdmin } from '../../../../src/adapters/gcs/admin-api.js';
import { CHECKS } from '../../../../src/cli/doctor/checks.js';
import { Deployment } from '../../../../src/cli/doctor/deployment.js';
import { examine } from '../../../../src/cli/doctor/examine.js';
import { lookAt } from '../../../../src/cli/doctor/storage.js';
import { type StandInAnswer, standInForStorage } from '../../../support/storage-stand-in.js';

let answer: StandInAnswer;
const address = standInForStorage(() => answer);

describe('a bucket', () => {
  const look = () =>
    lookAt(
      connectAdmin({ projectId: 'p', emulator: address() }),
      {
        ...{ name: 'state', softDelete: false, compare: { access: true, lifecycle: true } },
        keep: [{ folder: 'records', suffixes: ['.json'], days: 30, leastDays: 15 }],
      },
      'IMAGEN_STATE_PREFIX',
    );
  const closed = { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' };
  const rule = (age: number, condition: object) => ({ action: { type: 'Delete' }, condition: { age, ...condition } });
  const ours = rule(30, { matchesPrefix: ['records/'], matchesSuffix: ['.json'] });

  it('that is as wanted is well', async () => {
    answer = [200, { iamConfiguration: closed, lifecycle: { rule: [ours] } }];
    expect(await look()).toEqual([{ verdict: 'ok', message: 'state (IMAGEN_STATE_PREFIX)' }]);
  });

  it('that anybody may be let into, and that keeps records for ever, is warned of', async () => {
    answer = [200, { iamConfiguration: { ...closed, publicAccessPrevention: 'inherited' } }];
    expect(await look()).toEqual([
      {
        verdict: 'warning',
        message: expect.stringMatching(
          /^bucket state is not as .*: public access: can be granted → prevented; records\/: kept → /,
        ) as string,
        cure: expect.stringContaining('`imagen setup`') as string,
      },
    ]);
  });

  it("that deletes records too soon by a rule of somebody else's is warned of", async () => {
    answer = [200, { iamConfiguration: closed, lifecycle: { rule: [ours, rule(3, {})] } }];
    expect(await look()).toEqual([
      {
        verdict: 'warning',
        message: expect.stringMatching(/^bucket state: a rule that is not imagen's deletes records\/ sooner/) as string,
        cure: expect.stringContaining('take the rule away') as string,
      },
    ]);
  });
});

describe('storage', () => {
  async function examined() {
    const deployment = new Deployment({ GOOGLE_CLOUD_PROJECT: 'p', STORAGE_EMULATOR_HOST: address() });
    try {
      return await examine(
        CHECKS.filter(({ name }) => name === 'storage.reachable' || name === 'clock'),
        deployment,
      );
    } finally {
      deployment.close();
    }
  }

  it('whose clock is an hour away is warned of', async () => {
    answer = [200, {}, { date: new Date(Date.now() + 3_600_000).toUTCString() }];
    expect(await examined()).toContainEqual({
      ...{ name: 'clock', verdict: 'warning' },
      message: expect.stringMatching(/^this machine's clock is 3(599|600|601)\.\d s behind storage's$/) as string,
      cure: expect.stringContaining('NTP') as string,
    });
  });

  it('that refuses a caller without credentials does answer', async () => {
    answer = [401, { error: { code: 401, message: 'Anonymous caller' } }];
    expect((await examined()).map(({ verdict }) => verdict)).toEqual(['ok', 'ok']);
  });

  it('that is overloaded does not', async () => {
    answer = [503, 'later'];
    expect(await examined()).toMatchObject([
      { verdict: 'fault', message: expect.stringContaining('HTTP status 503') as string },
      { verdict: 'skipped' },
    ]);
  });
});
