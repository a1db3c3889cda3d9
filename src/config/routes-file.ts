import { readFileSync, watchFile, unwatchFile } from 'node:fs';
import { ConfigError } from './index.js';
import { NO_ROUTES, parseRoutes, type Routes } from '../domain/routes.js';

export interface RoutesFile {
  /** The routes of the last successful read. */
  current(): Routes;
  /** Reads the file again whenever it changes, until `close`. */
  watch(): void;
  close(): void;
}

const WATCH_MS = 2_000;

/**
 * Reads the routes file once; `watch` reads it again when it changes. It polls, because Kubernetes updates a mounted
 * ConfigMap by replacing a symbolic link, which no watcher notices. It reports a broken edit and keeps the last good routes.
 * @throws ConfigError when the first read fails
 */
export function openRoutes(
  path: string | undefined,
  told: { readonly broken?: (error: Error) => void; readonly changed?: (routes: Routes) => void } = {},
): RoutesFile {
  if (path === undefined) return { current: () => NO_ROUTES, watch: () => undefined, close: () => undefined };
  const read = () => {
    try {
      return parseRoutes(readFileSync(path, 'utf8'));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError([`IMAGEN_ROUTES_FILE: expected a file of routes, given ${path}: ${reason}`]);
    }
  };
  let routes = read();
  const onChange = () => {
    try {
      routes = read();
      told.changed?.(routes);
    } catch (error) {
      told.broken?.(error as Error);
    }
  };
  return {
    current: () => routes,
    watch: () => void watchFile(path, { interval: WATCH_MS, persistent: false }, onChange),
    close: () => unwatchFile(path, onChange),
  };
}
