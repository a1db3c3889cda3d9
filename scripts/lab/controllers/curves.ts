/** When jobs are published: the simulator's shapes, shortened so that each can be run. */
import { poissonOf } from '../autoscale/arrivals.js';
import { seeded } from '../random.js';

export const CURVES = ['burst', 'step', 'day'] as const;
export type Curve = (typeof CURVES)[number];

const MINUTE = 60;

/** How long pods are counted. */
export const SECONDS: Readonly<Record<Curve, number>> = { burst: 45 * MINUTE, step: 60 * MINUTE, day: 90 * MINUTE };

export const ABOUT: Readonly<Record<Curve, string>> = {
  burst: '45 minutes at a load of 0.1; after 5 minutes 20 minutes of work for one GPU at once',
  step: '10 minutes at 0.2, 30 at 2.5, 20 at 0.2',
  day: 'a sine from 0.1 to 2.5 and back in 90 minutes',
};

/** @param one jobs a second of a load of 1. @returns seconds, ascending */
export function timesOf(curve: Curve, one: number, seed: number): number[] {
  const random = seeded(seed);
  const seconds = SECONDS[curve];
  const times = (load: (at: number) => number, most: number) =>
    poissonOf((at) => load(at) * one, most * one, seconds, random);
  switch (curve) {
    case 'burst': {
      const burst = Array.from({ length: Math.round(20 * MINUTE * one) }, () => 5 * MINUTE + random());
      return [...times(() => 0.1, 0.1), ...burst].sort((a, b) => a - b);
    }
    case 'step':
      return times((at) => (at >= 10 * MINUTE && at < 40 * MINUTE ? 2.5 : 0.2), 2.5);
    case 'day':
      return times((at) => 1.3 - 1.2 * Math.cos((2 * Math.PI * at) / seconds), 2.5);
  }
}
