import { createHash } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * One holder per folder on this machine. The lock is a listening socket in Linux's abstract namespace, which the kernel
 * frees however its holder dies. Others connect to it to learn who holds it, and try again when the connection breaks.
 */
export async function withLock<T>(
  folder: string,
  onWait: (holder: string) => void,
  body: () => Promise<T>,
): Promise<T> {
  const name = `\0imagen-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`;
  const waiting = new Set<Socket>();
  const server = await acquire(name, waiting, onWait);
  try {
    return await body();
  } finally {
    server.close();
    for (const socket of waiting) socket.destroy();
  }
}

/** For callers that do not report that they wait. */
export const quietly = (): void => undefined;

async function acquire(name: string, waiting: Set<Socket>, onWait: (holder: string) => void): Promise<Server> {
  for (;;) {
    const server = await bind(name, waiting);
    if (server) return server;
    await untilReleased(name, onWait);
    await sleep(20);
  }
}

function bind(name: string, waiting: Set<Socket>): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      waiting.add(socket);
      socket.on('close', () => waiting.delete(socket));
      socket.on('error', () => socket.destroy());
      socket.write(`process ${process.pid}`);
    });
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => resolve(server));
  });
}

function untilReleased(name: string, onWait: (holder: string) => void): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(name);
    socket.on('data', (holder) => onWait(String(holder)));
    socket.on('error', () => socket.destroy()); // released between the bind and this
    socket.on('close', () => resolve());
  });
}
