import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../dev/stack/ports.js';
import { Connection } from './connection.js';

/**
 * A TCP proxy in front of one server. It passes everything on until a method injects a fault, and keeps its address.
 */
export class FaultProxy {
  /** In connections: let through; accepted into a black hole; reset; dead without a word; ended in the middle of an answer. */
  readonly counts = { accepted: 0, swallowed: 0, reset: 0, blackHoled: 0, cut: 0 };
  readonly address: string;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  /** The clients' ends of connections that never got a server. */
  readonly #swallowed = new Set<Socket>();
  #swallowing = false;
  #cut: { readonly after: number; readonly how: 'close' | 'silence' } | undefined;
  #closed = false;

  private constructor(
    private readonly target: string,
    private readonly port: number,
  ) {
    this.address = `127.0.0.1:${port}`;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
  }

  /** @param target `host:port` of the server, which need not be up yet */
  static async before(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, await freePort());
    await proxy.#listen();
    return proxy;
  }

  /** Connections open now, those included that have died without being closed. */
  get open(): number {
    return this.#connections.size + this.#swallowed.size;
  }

  /** Both sides of every open connection get a reset; new ones work. */
  reset(): void {
    this.counts.reset += this.#connections.size;
    for (const connection of this.#connections) connection.reset();
  }

  /** Holds back the bytes of all connections open now, both ways, for `ms` milliseconds; none is lost. */
  stall(ms: number): void {
    const stalled = [...this.#connections].filter((connection) => connection.hold());
    setTimeout(() => stalled.forEach((connection) => connection.release()), ms).unref();
  }

  /**
   * Connections die without being closed, as when a network is gone: what is sent on those open now vanishes for good.
   * @param newConnections `swallow`: until `heal` they are accepted, and that is all
   */
  blackHole(newConnections: 'pass' | 'swallow' = 'pass'): void {
    this.counts.blackHoled += [...this.#connections].filter((connection) => connection.die()).length;
    this.#swallowing = newConnections === 'swallow';
  }

  /** New connections work again. Those that have died stay dead; those that were swallowed are reset. */
  heal(): void {
    this.#swallowing = false;
    for (const client of this.#swallowed) client.resetAndDestroy();
  }

  /**
   * The first connection on which the server sends more than `bytes` from now on is cut there; `silence` lets it die.
   */
  cutNext(bytes: number, how: 'close' | 'silence' = 'close'): void {
    this.#cut = { after: bytes, how };
    for (const connection of this.#connections) connection.received = 0;
  }

  /** Nobody listens for `ms` milliseconds: connecting is refused, open connections go on. Resolves when it is over. */
  async refuse(ms: number): Promise<void> {
    this.#server.close();
    await sleep(ms);
    if (!this.#closed) await this.#listen();
  }

  close(): void {
    this.#closed = true;
    this.#server.close();
    for (const connection of this.#connections) connection.reset();
    for (const client of this.#swallowed) client.destroy();
  }

  async #listen(): Promise<void> {
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  #accept(client: Socket): void {
    if (this.#swallowing) {
      this.counts.swallowed += 1;
      this.#swallowed.add(client);
      for (const event of ['error', 'end']) client.on(event, () => client.destroy());
      client.on('close', () => this.#swallowed.delete(client));
      client.resume();
      return;
    }
    this.counts.accepted += 1;
    const [host = '', port] = this.target.split(':');
    const server = connect({ host, port: Number(port), allowHalfOpen: true });
    const permit = (chunk: Buffer) => this.#permit(connection, chunk);
    const onClose = () => this.#connections.delete(connection);
    const connection: Connection = new Connection(client, server, permit, onClose);
    this.#connections.add(connection);
  }

  /** How much of what the server has sent may go on to the client; less than all of it ends the connection. */
  #permit(connection: Connection, chunk: Buffer): Buffer {
    if (!this.#cut) return chunk;
    const { after, how } = this.#cut;
    const allowed = after - connection.received;
    connection.received += chunk.length;
    if (chunk.length <= allowed) return chunk;
    this.#cut = undefined;
    this.counts.cut += 1;
    if (how === 'silence') connection.die();
    return chunk.subarray(0, allowed);
  }
}
