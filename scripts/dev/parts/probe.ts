import { once } from 'node:events';
import { connect } from 'node:net';

/** @returns whether the address answers with a status of 200 to 299 */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** @returns whether a port of this machine accepts connections */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // refused: nobody listens yet
  } finally {
    socket.destroy();
  }
}
