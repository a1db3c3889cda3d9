/** When jobs are published: the shapes of load that an autoscaler has to be good at, all of them at once. */
import { seeded } from '../random.js';

export const ARRIVALS = ['calm', 'step', 'bursts', 'restless', 'diurnal'] as const;
export type Arrivals = (typeof ARRIVALS)[number];

export const ABOUT: Readonly<Record<Arrivals, string>> = {
  calm: 'an even load of 0.4',
  step: 'an hour of 0.2, then 2.5 for four hours, then 0.2 again',
  bursts: '0.1, and every 80 minutes a batch at once: an hour of work for a load of 1',
  restless: 'switches between 0.1 and 2, each phase 15 minutes on average',
  diurnal: 'a sine over the day, from 0.1 to 2.5',
};

const HOUR = 3600;
export const HOURS: Readonly<Record<Arrivals, number>> = { calm: 8, step: 8, bursts: 8, restless: 12, diurnal: 24 };

/** @param one jobs a second of a load of 1. @returns seconds, ascending */
export function arrivalsOf(shape: Arrivals, one: number, seed: number): number[] {
  const random = seeded(seed);
  const seconds = HOURS[shape] * HOUR;
  const exponential = (rate: number) => exponentialOf(random, rate);
  const poisson = (rate: (at: number) => number, most: number) => poissonOf(rate, most, seconds, random);
  switch (shape) {
    case 'calm':
      return poisson(() => 0.4 * one, 0.4 * one);
    case 'step':
      return poisson((at) => (at >= HOUR && at < 5 * HOUR ? 2.5 : 0.2) * one, 2.5 * one);
    case 'bursts': {
      const times = poisson(() => 0.1 * one, 0.1 * one);
      for (let at = 0.5 * HOUR; at < seconds - HOUR; at += (80 / 60) * HOUR) {
        for (let i = 0; i < HOUR * one; i++) times.push(at + random());
      }
      return times.sort((a, b) => a - b);
    }
    case 'restless': {
      const switches: number[] = [];
      for (let at = exponential(4 / HOUR); at < seconds; at += exponential(4 / HOUR)) switches.push(at);
      const busy = (at: number) => switches.filter((time) => time <= at).length % 2 === 1;
      return poisson((at) => (busy(at) ? 2 : 0.1) * one, 2 * one);
    }
    case 'diurnal':
      return poisson((at) => (1.3 - 1.2 * Math.cos((2 * Math.PI * at) / (24 * HOUR))) * one, 2.5 * one);
  }
}

/** A Poisson process of a rate that changes, by thinning (Lewis and Shedler). @returns seconds, ascending */
export function poissonOf(rate: (at: number) => number, most: number, seconds: number, random: () => number): number[] {
  const times: number[] = [];
  for (let at = exponentialOf(random, most); at < seconds; at += exponentialOf(random, most)) {
    if (random() * most < rate(at)) times.push(at);
  }
  return times;
}

const exponentialOf = (random: () => number, rate: number): number => -Math.log(1 - random()) / rate;
