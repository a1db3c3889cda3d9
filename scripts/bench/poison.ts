/**
 * Do bad jobs slow down the good ones? The same good jobs alone, and with one bad one among each hundred: unreadable,
 * without an input, with a broken one, for a model that does not exist, or at which the model fails. The model sleeps
 * instead of computing.
 */
import type { JobMessage } from '../../src/domain/job.js';
import { openParts } from '../ground.js';
import type { Progress } from '../progress.js';
import { picture } from './corpus.js';
import type { StandIn } from './make-models.js';
import { type Figure, figure, round } from './result.js';
import { openTraffic, withWorkers } from './traffic.js';

const GOOD = 800;
const EVERY = 100;

const model: StandIn = {
  ...{ name: 'sleeper', batching: true, fixedMs: 250, eachMs: 15 },
  parameters: {
    'imagen.plans': '["whole"]',
    'imagen.parameters': '{"type":"object","properties":{"fail":{"type":"boolean"}}}',
  },
};

export async function poison(progress: Progress): Promise<Figure[]> {
  const parts = await openParts({ name: 'bench', models: [model], progress });
  const traffic = openTraffic(parts, 'bench');
  try {
    const bytes = await picture({ width: 96, height: 64 });
    const uri = await parts.upload('good.jpg', bytes);
    const broken = await parts.upload('broken.jpg', bytes.subarray(0, bytes.length / 2));
    const failing = { model: model.name, parameters: { fail: true } };
    const bad = (jobId: string): (JobMessage | string)[] => [
      `not a job: ${jobId}`,
      { jobId, operations: [model.name], input: { uri: `${uri}.missing` } },
      { jobId, operations: [model.name], input: { uri: broken } },
      { jobId, operations: ['no_such_model'], input: { uri } },
      { jobId, operations: [failing], input: { uri } },
    ];
    /** Good jobs a second, from the first publish to the last good completion. */
    const run = async (name: string, poisoned: boolean) => {
      const jobs = Array.from({ length: GOOD }, (_, i) => {
        const good: JobMessage = { jobId: `${name}.${i}`, operations: [model.name], input: { uri } };
        const one = bad(`${name}.bad.${i}`)[(i / EVERY) % 5];
        return poisoned && i % EVERY === 0 && one !== undefined ? [good, one] : [good];
      }).flat();
      const [begin, before] = [performance.now(), traffic.ended.length];
      await traffic.publish(jobs);
      await traffic.until(before + jobs.length);
      const mine = traffic.ended.slice(before).filter(({ completion }) => completion.status === 'succeeded');
      if (mine.length !== GOOD) throw new Error(`${name}: ${mine.length} of ${GOOD} good jobs succeeded`);
      const rate = GOOD / (((mine.at(-1)?.at ?? NaN) - begin) / 1000);
      progress.say(`${name}: ${round(rate)} good jobs/s`);
      return rate;
    };
    const [clean, poisoned] = await withWorkers(parts, 1, async () => {
      await run('warm', false);
      // Before and after, so that a machine that grows slower meanwhile does not decide.
      const first = await run('clean', false);
      const beside = await run('poisoned', true);
      return [(first + (await run('again', false))) / 2, beside];
    });
    const detail = { simulated: 'the model sleeps', clean: round(clean), poisoned: round(poisoned), good: GOOD };
    return [figure('poison', poisoned / clean, '>=', 0.95, { ...detail, bad: GOOD / EVERY })];
  } finally {
    await traffic.close();
    await parts.close();
  }
}
