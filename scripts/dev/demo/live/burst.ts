/** The demo's burst, from the page: sixty jobs of one group. Nobody waits for them here; the board shows how they end. */
import { burstPictures } from '../burst.js';
import { newId, submit, type SubmitParts } from './submit.js';

/** @returns the group's id. @throws as `submit` does; the jobs published before go on */
export async function submitBurst(operations: readonly string[], parts: SubmitParts): Promise<string> {
  const id = newId('burst');
  const pictures = await burstPictures();
  const group = { id, total: pictures.length };
  const orders = pictures.map((bytes, place) =>
    submit({ bytes, operations }, parts, { jobId: `${id}.${place}`, group, priority: 'batch' }),
  );
  await Promise.all(orders);
  return id;
}
