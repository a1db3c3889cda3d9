import { expect, it } from 'vitest';
import { parseRoutes } from '../../../src/domain/routes.js';
import { unserved } from '../../../src/app/monitors.js';
import { catalogueOf } from '../../support/metrics.js';

const routes = (models: Readonly<Record<string, string>>) =>
  parseRoutes(
    JSON.stringify({
      models: Object.fromEntries(Object.entries(models).map(([model, version]) => [model, { default: version }])),
    }),
  );

it('tells of versions and models that the routes name and nobody serves', () => {
  const named = routes({ upscale: '7', upscael: '1', enhance: '1', sleeping: '1' });
  const catalogue = catalogueOf({ upscale: ['1', '2'], enhance: ['1'] }, ['sleeping']);
  // What Triton says of a model that it knows is told beside.
  expect([...unserved(named, catalogue).keys()]).toEqual(['upscale/7', 'upscael/1']);
  expect(unserved(named, catalogueOf({})).size).toBe(0);
});

it('tells what becomes of shadows whose version nobody serves', () => {
  const text = JSON.stringify({ models: { upscale: { default: '1', shadow: { version: '2', share: 1 } } } });
  const told = unserved(parseRoutes(text), catalogueOf({ upscale: ['1'] }));
  expect([...told]).toEqual([['upscale/2', expect.stringMatching(/its shadows fail/)]]);
});
