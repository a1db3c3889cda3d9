/**
 * Progressive JPEGs by hand: grey or coloured, all of one value, in as many scans as the standard permits. A scan that
 * refines nothing says so in a few bytes for 16,383 blocks at a time, and yet a decoder visits each of them.
 */

/** @param bands groups of coefficients, 1 to 63, of each component; each takes 14 scans, one a bit */
export function scans(width: number, height: number, components: 1 | 3 | 4, bands: number): Buffer {
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8);
  const ids = Array.from({ length: components }, (_, i) => i + 1);
  const nothing = endOfBands(blocks);
  const refinements = ids.flatMap((id) =>
    Array.from({ length: bands }, (_, band) => {
      const [first, last] = [1 + Math.floor((63 * band) / bands), Math.floor((63 * (band + 1)) / bands)];
      return Array.from({ length: 14 }, (_, bit) => {
        const approximation = bit === 0 ? 13 : ((14 - bit) << 4) | (13 - bit);
        return Buffer.concat([segment(0xda, [1, id, 0, first, last, approximation]), nothing]);
      });
    }).flat(),
  );
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xdb, [0, ...Array<number>(64).fill(1)]),
    segment(0xc2, [
      8,
      height >> 8,
      height & 255,
      width >> 8,
      width & 255,
      components,
      ...ids.flatMap((id) => [id, 0x11, 0]),
    ]),
    segment(0xc4, [0, ...codesOfFourBits(2), 0, 1]),
    segment(0xc4, [0x10, ...codesOfFourBits(15), ...Array.from({ length: 15 }, (_, run) => run << 4)]),
    segment(0xda, [components, ...ids.flatMap((id) => [id, 0]), 0, 0, 0]),
    Buffer.alloc(Math.ceil((blocks * components) / 2)),
    ...refinements,
    Buffer.from([0xff, 0xd9]),
  ]);
}

/** How many codes of each length there are: all of four bits. */
const codesOfFourBits = (count: number) => [0, 0, 0, count, ...Array<number>(12).fill(0)];

/** "Nothing more in the next 2^r + n blocks" (ITU-T T.81, G.1.2.2), until there are no more. */
function endOfBands(blocks: number): Buffer {
  let bits = '';
  for (let left = blocks; left > 0;) {
    const run = Math.min(14, Math.floor(Math.log2(left)));
    const more = Math.min(left - 2 ** run, 2 ** run - 1);
    bits += run.toString(2).padStart(4, '0') + (run > 0 ? more.toString(2).padStart(run, '0') : '');
    left -= 2 ** run + more;
  }
  const bytes = bits.match(/.{1,8}/g)?.map((byte) => parseInt(byte.padEnd(8, '1'), 2)) ?? [];
  return Buffer.from(bytes.flatMap((byte) => (byte === 0xff ? [byte, 0] : [byte])));
}

function segment(marker: number, content: readonly number[]): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([head, Buffer.from(content)]);
}
