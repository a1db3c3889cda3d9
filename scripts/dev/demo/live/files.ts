import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { extname, join } from 'node:path';
import { root } from '../../stack/paths.js';
import type { Picture } from './pictures.js';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

const photos = join(root, 'test/fixtures/photos');
export const samples = readdirSync(photos)
  .filter((name) => name.endsWith('.jpg'))
  .map((name) => name.slice(0, -'.jpg'.length));

export function pageFiles(): ReadonlyMap<string, Picture> {
  const page = fileURLToPath(new URL('./page', import.meta.url));
  const shared = fileURLToPath(new URL('..', import.meta.url));
  const read = (path: string, file: string) => {
    const contentType = types[extname(file)] ?? 'image/jpeg';
    return [path, { bytes: readFileSync(file), contentType }] as const;
  };
  return new Map([
    ...readdirSync(page).map((name) => read(`/${name}`, join(page, name))),
    ...['page.css', 'slider.js'].map((name) => read(`/${name}`, join(shared, name))),
    ...samples.map((name) => read(`/samples/${name}.jpg`, join(photos, `${name}.jpg`))),
    read('/', join(page, 'index.html')),
  ]);
}
