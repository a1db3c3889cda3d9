import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Everything local lives here; git ignores it, and deleting it is always safe while nothing runs. */
export const localDir = join(root, '.imagen');

/** What is downloaded or built once and shared by all instances. Written only under its lock. */
export const cacheDir = join(localDir, 'cache');

/** Where the state and the logs of `npm run stack` are. A second stack needs another folder, and ports of its own. */
export const defaultStackDir = process.env.IMAGEN_STACK_DIR ?? join(localDir, 'stack');

/** Models that a developer adds to this checkout. `stack up` never changes or deletes them. */
export function ownModels(): { readonly folder: string } {
  const folder = join(root, 'models.local');
  mkdirSync(folder, { recursive: true });
  return { folder };
}

/** The routes file that a developer adds to this checkout, if there is one. */
export function ownRoutes(): { readonly IMAGEN_ROUTES_FILE?: string } {
  const file = join(root, 'routes.local.json');
  return existsSync(file) ? { IMAGEN_ROUTES_FILE: file } : {};
}

/** Models that make single behaviours easy to test; one of them is there to fail when it is loaded. */
export const testModels = { folder: join(root, 'test/fixtures/models'), leaveOut: ['broken'] };

/** Node's arguments to run a script of ours in a process of its own; the script's own arguments follow. */
export function scriptArgs(script: string): string[] {
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href, join(root, script)];
}

export function which(program: string): string | undefined {
  const folders = (process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin').split(':').filter(Boolean);
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
