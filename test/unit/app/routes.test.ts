import { expect, it } from 'vitest';
import { LiveRoutes, type RoutesLines } from '../../../src/app/routes.js';
import type { RoutesRead, RoutesSource } from '../../../src/domain/ports.js';
import type { Routes } from '../../../src/domain/routes.js';

const signal = new AbortController().signal;
const text = (version: string) => JSON.stringify({ models: { upscale: { default: version } } });
const found = (body: string, generation: string): RoutesRead => ({ kind: 'found', text: body, generation });

/** Routes whose reads give these, one after another. An error is thrown. */
function live(...reads: readonly (RoutesRead | Error)[]) {
  return liveUnless(undefined, ...reads);
}

/** @param refuse why the worker cannot work by them */
function liveUnless(
  refuse: ((routes: Routes) => string | undefined) | undefined,
  ...reads: readonly (RoutesRead | Error)[]
) {
  const told: string[] = [];
  const known: (string | undefined)[] = [];
  const left = [...reads];
  const source: RoutesSource = {
    place: 'gs://config/routes.json',
    read(_, generation) {
      known.push(generation);
      const next = left.shift() ?? new Error('nothing is left');
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
  };
  const lines: RoutesLines = {
    changed: (_, generation) => told.push(`changed ${generation}`),
    broken: ({ message }, generation) => told.push(`broken ${generation}: ${message.split('\n')[1]?.trim()}`),
    read: (trouble) => told.push(trouble === undefined ? 'read' : `trouble: ${(trouble as Error | string).toString()}`),
  };
  const routes = new LiveRoutes(source, lines, refuse);
  return { routes, told, known, version: () => routes.current().defaultVersion('upscale') };
}

it('takes a new document, and asks for what is newer than the last one', async () => {
  const { routes, told, known, version } = live(found(text('1'), 'g1'), { kind: 'unchanged' }, found(text('2'), 'g2'));
  expect(routes.missing).toBe(true);
  await routes.open(signal);
  expect([routes.missing, version()]).toEqual([false, '1']);
  await routes.poll(signal);
  await routes.poll(signal);
  expect(version()).toBe('2');
  expect(told).toEqual(['read', 'read', 'changed g2', 'read']);
  expect(known).toEqual([undefined, 'g1', 'g1']);
});

it('keeps the last good one while a broken one lies there, which is told once', async () => {
  const { routes, told, known, version } = live(
    found(text('1'), 'g1'),
    found('{', 'g2'),
    { kind: 'unchanged' },
    found(text('2'), 'g3'),
  );
  await routes.open(signal);
  await routes.poll(signal);
  await routes.poll(signal);
  expect(version()).toBe('1');
  expect(told.filter((line) => line.startsWith('broken'))).toEqual([
    expect.stringMatching(/^broken g2: IMAGEN_ROUTES_FILE: expected an object of routes, given gs:.*: expected JSON/),
  ]);
  await routes.poll(signal);
  expect(known).toEqual([undefined, 'g1', 'g2', 'g2']);
  expect(version()).toBe('2');
});

it('keeps the last good one when the document is deleted, or storage is away', async () => {
  const { routes, told, version } = live(found(text('1'), 'g1'), { kind: 'missing' }, new Error('no answer'), {
    kind: 'unusable',
    reason: 'too large',
  });
  await routes.open(signal);
  for (let i = 0; i < 3; i++) await routes.poll(signal);
  expect(version()).toBe('1');
  expect(told.slice(1)).toEqual(['trouble: there is none any more', 'trouble: Error: no answer', 'trouble: too large']);
});

it('waits at the start while storage is away', async () => {
  const { routes, told, version } = live(new Error('no answer'), found(text('1'), 'g1'));
  await routes.open(signal);
  expect(told).toEqual(['trouble: Error: no answer', 'read']);
  expect(version()).toBe('1');
});

it('stops waiting when the worker stops', async () => {
  const { routes } = live(new Error('no answer'));
  const stop = new AbortController();
  const waiting = routes.open(stop.signal);
  stop.abort(new Error('stopping'));
  await expect(waiting).rejects.toThrow(/stopping|aborted/);
});

it.each([
  [
    { kind: 'missing' } as const,
    /expected an object of routes, given gs:\/\/config\/routes.json: there is no such object/,
  ],
  [{ kind: 'unusable', reason: 'too large' } as const, /: too large/],
  [found('{"models":{"a":{}}}', 'g'), /models\.a\.default: expected a version number as a string, given nothing/],
])('does not start with %o', async (read, message) => {
  await expect(live(read).routes.open(signal)).rejects.toThrow(message);
});

it('takes no document by which the worker cannot work', async () => {
  const refuse = ({ shadows }: Routes) => (shadows.length > 0 ? 'IMAGEN_SHADOW_PREFIX: expected a place' : undefined);
  const shadow = JSON.stringify({ models: { upscale: { default: '2', shadow: { version: '3', share: 1 } } } });
  await expect(liveUnless(refuse, found(shadow, 'g')).routes.open(signal)).rejects.toThrow('IMAGEN_SHADOW_PREFIX');
  const { routes, told, version } = liveUnless(refuse, found(text('1'), 'g1'), found(shadow, 'g2'));
  await routes.open(signal);
  await routes.poll(signal);
  expect(version()).toBe('1');
  expect(told).toEqual(['read', 'broken g2: IMAGEN_SHADOW_PREFIX: expected a place', 'read']);
});
