import { stackEnv } from '../stack/env.js';
import { scriptArgs } from '../stack/paths.js';
import type { Part } from './part.js';
import { answers } from './probe.js';

/** What Cloud Monitoring knows of a subscription and the emulator does not tell: scripts/dev/backlog. */
export const backlog: Part = {
  ...{ id: 'backlog', title: 'backlog exporter', ports: ['backlog'], readyTimeoutMs: 20_000 },
  start: ({ ports }) => ({
    ...exporter(ports.backlog),
    env: stackEnv(ports),
    ready: () => answers(`http://127.0.0.1:${ports.backlog}/metrics`),
  }),
};

export function exporter(port: number): { readonly command: string; readonly args: readonly string[] } {
  return { command: process.execPath, args: [...scriptArgs('scripts/dev/backlog/exporter.ts'), String(port)] };
}
