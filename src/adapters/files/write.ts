import { open, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';

/**
 * Writes a new file, and returns when its bytes are on the disk.
 * @param mode what the process's umask leaves of it
 * @throws errors of the file system, `EEXIST` if there is a file
 */
export async function writeDurably(path: string, content: string | Readable, mode = 0o666): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await writeFile(file, content);
    await file.sync();
  } finally {
    await file.close();
  }
}
