import { check, ok, skipped, warning } from './check.js';
import type { Greeting } from '../../adapters/gcs/greet.js';
import { reachable } from './storage.js';

/** Deadlines of jobs and the age of leases come from clocks. Google's tokens permit some minutes. */
const MOST_SECONDS = 5;

export const clock = check({
  name: 'clock',
  reads: ['projectId', 'storageEmulator'],
  needs: [reachable.name],
  async run(config, deployment) {
    const ahead = secondsAhead(await deployment.greeting(config));
    if (ahead === undefined) return [skipped("storage's answer has no date")];
    const off = `this machine's clock is ${Math.abs(ahead).toFixed(1)} s ${ahead < 0 ? 'behind' : 'ahead of'} storage's`;
    if (Math.abs(ahead) < MOST_SECONDS) return [ok(off)];
    return [warning(off, 'set the clock by NTP: jobs expire by `deadline` too early or too late')];
  },
});

/**
 * How far this machine's clock is ahead of the service's, in seconds. The header has whole seconds and the moment of the
 * answer is not known, so the result may be off by half a second and half of the time that the answer took.
 * @returns undefined without a usable date
 */
export function secondsAhead({ date, sentAt, answeredAt }: Omit<Greeting, 'status'>): number | undefined {
  const theirs = date === undefined ? NaN : Date.parse(date) + 500;
  return Number.isNaN(theirs) ? undefined : ((sentAt + answeredAt) / 2 - theirs) / 1_000;
}
