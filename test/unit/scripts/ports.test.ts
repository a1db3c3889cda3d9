import { expect, it } from 'vitest';
import { freePort, freePorts } from '../../../scripts/dev/stack/ports.js';

it('gives no port twice while whoever asked for it may still open it', async () => {
  const alone: number[] = [];
  while (alone.length < 400) alone.push(await freePort());
  const stack = Object.values(await freePorts());
  expect(new Set([...alone, ...stack]).size).toBe(408);
  for (const port of alone) expect(port >= 20_000 && port < 32_000).toBe(true);
});
