/** The demo's burst, from the page: sixty jobs of one group. Nobody waits for them here; the board shows how they end. */
import { burstPictures } from '../burst.js';
import { type Counter, newId, submit } from './submit.js';

/** @returns the group's id. @throws as `submit` does; the jobs published before go on */
export async function submitBurst(operations: readonly string[], counter: Counter): Promise<string> {
  const id = newId('burst');
  const pictures = await burstPictures();
  const group = { id, total: pictures.length };
  const orders = pictures.map((bytes, place) =>
    submit({ bytes, operations }, counter, { jobId: `${id}.${place}`, group, priority: 'batch' }),
  );
  await Promise.all(orders);
  return id;
}
