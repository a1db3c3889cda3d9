import { copyFile, link, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A copy to add to and take from. Weights, which nobody edits in place, are hard links where the file system allows;
 * all else is copied, so that an edit stays the copy's own.
 */
export async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkTree(source, target);
    else if (entry.name.endsWith('.onnx')) await link(source, target).catch(() => copyFile(source, target));
    else await copyFile(source, target);
  }
}
