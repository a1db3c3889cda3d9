/* global Image */

/** Why a worker would not take the picture, as far as can be seen here: a code and a message. `url` is the blob's. */
export async function problemOf(blob, url, { maxBytes, beginning }) {
  if (blob.size === 0) return ['INPUT_EMPTY', 'the file has no bytes'];
  if (blob.size > maxBytes) return ['INPUT_TOO_LARGE', `expected at most ${maxBytes / 1024 ** 2} MiB`];
  const first = await blob.slice(0, beginning.bytes).arrayBuffer();
  const text = String.fromCharCode(...new Uint8Array(first));
  if (!new RegExp(beginning.pattern).test(text)) return ['UNSUPPORTED_FORMAT', `expected ${beginning.words}`];
  if (!new RegExp(beginning.shown).test(text)) return undefined;
  const image = new Image();
  image.src = url;
  return image.decode().then(
    () => undefined,
    () => ['INPUT_CORRUPT', 'this browser cannot show it'],
  );
}
