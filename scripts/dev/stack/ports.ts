import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from './processes.js';

/** Every port of an instance: its default, and the variable that overrides it. `worker` is the worker's own, for health and metrics. */
const known = {
  pubsub: { port: 8085, variable: 'IMAGEN_STACK_PUBSUB_PORT' },
  gcs: { port: 4443, variable: 'IMAGEN_STACK_GCS_PORT' },
  tritonHttp: { port: 8000, variable: 'IMAGEN_STACK_TRITON_HTTP_PORT' },
  tritonGrpc: { port: 8001, variable: 'IMAGEN_STACK_TRITON_GRPC_PORT' },
  tritonMetrics: { port: 8002, variable: 'IMAGEN_STACK_TRITON_METRICS_PORT' },
  backlog: { port: 9091, variable: 'IMAGEN_STACK_BACKLOG_PORT' },
  prometheus: { port: 9090, variable: 'IMAGEN_STACK_PROMETHEUS_PORT' },
  worker: { port: 8080, variable: 'PORT' },
} as const;

export type PortName = keyof typeof known;
export type Ports = Readonly<Record<PortName, number>>;

export const portNames = Object.keys(known) as PortName[];
export const portVariable = (name: PortName): string => known[name].variable;

export const defaultPorts = (env: NodeJS.ProcessEnv = process.env): Ports =>
  mapPorts((name) => chosen(known[name], env));

/** Of the demo's live page, which is no part of an instance: there is one for each demo that was kept. */
export const defaultPagePort = (env: NodeJS.ProcessEnv = process.env): number =>
  chosen({ port: 8090, variable: 'IMAGEN_STACK_PAGE_PORT' }, env);

export async function freePorts(): Promise<Ports> {
  const taken = new Set<number>();
  const picked = await Promise.all(portNames.map(() => freePort(taken)));
  return mapPorts((_, index) => picked[index] ?? 0);
}

/**
 * A free port below those that Linux gives to outgoing connections (32768 and up), so that no client can take it. No other
 * process gets the same one from this function while this one lives: a server may open it only seconds later.
 * @param taken ports given out before; the new one is added
 */
export async function freePort(taken = new Set<number>()): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (taken.has(port)) continue;
    taken.add(port);
    if (claim(port) && (await isFree(port))) return port;
  }
}

const CLAIMS = join(tmpdir(), `imagen-ports-${process.getuid?.() ?? ''}`);
const claimed: string[] = [];

/** Claims a port by a file with the number of this process. @returns false if a process that lives has claimed it */
function claim(port: number): boolean {
  const file = join(CLAIMS, String(port));
  mkdirSync(CLAIMS, { recursive: true });
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!isHeld(file)) rmSync(file, { force: true }); // for whoever comes next
    return false;
  }
  if (claimed.length === 0) process.once('exit', () => claimed.forEach((one) => rmSync(one, { force: true })));
  claimed.push(file);
  return true;
}

/** A file that is still empty is being written by a process that lives. */
function isHeld(file: string): boolean {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return pid === 0 || inspect(pid) !== undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return false; // its process has just removed it
  }
}

/** Binding every address is refused where anybody listens on any one of them. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen({ port, host: '0.0.0.0', exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  server.close();
  await once(server, 'close');
  return true;
}

function mapPorts(value: (name: PortName, index: number) => number): Ports {
  return Object.fromEntries(portNames.map((name, index) => [name, value(name, index)])) as Record<PortName, number>;
}

function chosen({ port, variable }: { port: number; variable: string }, env: NodeJS.ProcessEnv): number {
  const text = env[variable] ?? '';
  const value = text === '' ? port : Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 65_535) return value;
  throw new Error(`${variable} must be a port number from 1 to 65535, not '${text}'`);
}
