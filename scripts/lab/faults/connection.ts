import type { Socket } from 'node:net';

/**
 * Two sockets joined, with back-pressure. Both must allow half-open: an end is passed on, not answered by the proxy.
 */
export class Connection {
  /** Bytes that came from the server since somebody set it to 0. */
  received = 0;
  #state: 'passing' | 'held' | 'dead' = 'passing';

  /** @param permit returns the part of the server's bytes to forward; if bytes are missing, the connection ends after it */
  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    permit: (chunk: Buffer) => Buffer,
    onClose: () => void,
  ) {
    this.#forward(client, server, (chunk) => chunk);
    this.#forward(server, client, permit);
    client.on('end', () => {
      if (this.#state !== 'dead') server.destroySoon();
    });
    server.on('end', () => {
      if (this.#state !== 'dead') client.end();
    });
    for (const socket of [client, server]) {
      socket.on('error', () => {
        if (this.#state !== 'dead') this.reset();
      });
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) onClose();
        else if (this.#state !== 'dead') this.reset();
      });
    }
  }

  /** Holds all bytes back. @returns false when it was held already, or is dead */
  hold(): boolean {
    if (this.#state !== 'passing') return false;
    this.#state = 'held';
    for (const socket of [this.client, this.server]) socket.pause();
    return true;
  }

  /** Ends `hold`; does nothing to a connection that has died since. */
  release(): void {
    if (this.#state === 'held') this.#resume('passing');
  }

  /** From here on everything vanishes, closing included. @returns false when it was dead already */
  die(): boolean {
    if (this.#state === 'dead') return false;
    this.#resume('dead');
    return true;
  }

  #resume(state: 'passing' | 'dead'): void {
    this.#state = state;
    for (const socket of [this.client, this.server]) socket.resume();
  }

  reset(): void {
    for (const socket of [this.client, this.server]) {
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  #forward(from: Socket, to: Socket, permit: (chunk: Buffer) => Buffer): void {
    from.on('data', (chunk: Buffer) => {
      if (this.#state === 'dead') return;
      const permitted = permit(chunk);
      const more = to.write(permitted);
      if (permitted.length < chunk.length && !this.#isDead()) {
        // What was permitted arrives; a reset would take it back.
        for (const socket of [this.client, this.server]) socket.destroySoon();
      } else if (!more) {
        from.pause();
      }
    });
    to.on('drain', () => {
      if (this.#state !== 'held') from.resume();
    });
  }

  /** As a function, since a callback may have changed it. */
  #isDead(): boolean {
    return this.#state === 'dead';
  }
}
