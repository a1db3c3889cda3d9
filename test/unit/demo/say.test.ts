import { expect, it } from 'vitest';
import type { DemoStack } from '../../../scripts/dev/demo/demo-stack.js';
import { howToGoOn } from '../../../scripts/dev/demo/say.js';
import { defaultPagePort } from '../../../scripts/dev/stack/ports.js';

const demoOn = (port: number) =>
  ({
    borrowed: true,
    worker: { pid: 1, port: 2, log: '' },
    page: { pid: 3, url: `http://127.0.0.1:${port}/` },
  }) as unknown as DemoStack;

it('names the page of this run, and says that an earlier one may be up where the usual port was taken', () => {
  const [first, second] = [defaultPagePort(), defaultPagePort() + 1];
  expect(howToGoOn(demoOn(first))).toContain(`http://127.0.0.1:${first}/`);
  expect(howToGoOn(demoOn(first))).not.toContain('was taken');
  expect(howToGoOn(demoOn(second))).toContain(`http://127.0.0.1:${second}/`);
  expect(howToGoOn(demoOn(second))).toContain(`port ${first} was taken`);
});
