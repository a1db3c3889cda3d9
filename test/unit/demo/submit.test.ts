import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { createBoard } from '../../../scripts/dev/demo/live/board.js';
import { type Door, submit } from '../../../scripts/dev/demo/live/submit.js';
import { parseJob } from '../../../src/domain/job.js';

async function outputOf(format?: string) {
  const published: Buffer[] = [];
  const door = {
    store: { create: () => Promise.resolve() },
    topic: { publish: (data: Buffer) => Promise.resolve(published.push(data)) },
    signal: new AbortController().signal,
  } as unknown as Door;
  const board = createBoard({ allowedInputs: ['gs://in'], allowedOutputs: ['gs://out'] });
  const bytes = await readFile('test/fixtures/photos/chelsea.jpg');
  await submit({ bytes, operations: ['a'], format }, { board, door, uploadPrefix: 'gs://in/' });
  return published.map((data) => parseJob(data).output);
}

it('has a JPEG show white where the result is transparent, and leaves transparency to the other formats', async () => {
  expect(await outputOf('jpeg')).toEqual([{ format: 'jpeg', background: '#ffffff' }]);
  expect(await outputOf('png')).toEqual([{ format: 'png' }]);
  expect(await outputOf()).toEqual([{}]);
});
