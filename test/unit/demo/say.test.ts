import { expect, it } from 'vitest';
import type { House } from '../../../scripts/dev/demo/house.js';
import { howToGoOn } from '../../../scripts/dev/demo/say.js';
import { defaultPagePort } from '../../../scripts/dev/stack/ports.js';

const houseOn = (port: number) =>
  ({
    borrowed: true,
    worker: { pid: 1, port: 2, log: '' },
    page: { pid: 3, url: `http://127.0.0.1:${port}/` },
  }) as unknown as House;

it('names the page of this run, and says that an earlier one may be up where the usual port was taken', () => {
  const [first, second] = [defaultPagePort(), defaultPagePort() + 1];
  expect(howToGoOn(houseOn(first))).toContain(`http://127.0.0.1:${first}/`);
  expect(howToGoOn(houseOn(first))).not.toContain('was taken');
  expect(howToGoOn(houseOn(second))).toContain(`http://127.0.0.1:${second}/`);
  expect(howToGoOn(houseOn(second))).toContain(`port ${first} was taken`);
});
