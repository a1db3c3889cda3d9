import type { ColourSpace } from './spaces.js';

/** Pixels between two pauses in which the event loop extends leases and answers health checks. */
const PIXELS_A_TURN = 200_000;
/** Entries of the table back to sRGB. The steepest part of its curve needs a twentieth of a level. */
const LEVELS = 65_536;
/** Light above this is compressed, so that highlights keep their shape. */
const KNEE = 0.75;
const UNCHANGED = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
] as const;
/** Peak of an HLG display in multiples of white: 1,000 nits by 203 (ITU-R BT.2100). */
const HLG_PEAK = 1_000 / 203;

/**
 * Converts colours to 8-bit sRGB. Light outside of sRGB is clipped, channel by channel. High dynamic range is compressed before
 * that, by the largest channel, so that hues stay.
 * @param data interleaved channels: red, green, blue, perhaps alpha, which is only reduced to 8 bits
 */
export async function convert(data: Uint8Array | Uint16Array, channels: 3 | 4, space: ColourSpace): Promise<Buffer> {
  const most = data instanceof Uint16Array ? 65_535 : 255;
  const light = Float64Array.from({ length: most + 1 }, (_, value) => space.light(value / most));
  const levels = Uint8Array.from({ length: LEVELS }, (_, i) => Math.round(255 * toSrgb(i / (LEVELS - 1))));
  const level = (value: number) =>
    levels[value <= 0 ? 0 : value >= 1 ? LEVELS - 1 : Math.round(value * (LEVELS - 1))] ?? 0;
  const { matrix = UNCHANGED, range } = space;
  const [[a, b, c], [d, e, f], [g, h, i]] = matrix;
  const out = Buffer.allocUnsafe(data.length);
  for (let at = 0, turn = 0; at < data.length; at += channels) {
    let [red, green, blue] = [light[data[at] ?? 0] ?? 0, light[data[at + 1] ?? 0] ?? 0, light[data[at + 2] ?? 0] ?? 0];
    let scale = 1;
    // The display's gamma of 1.2 works on luminance.
    if (range === 'hlg') scale = HLG_PEAK * (0.2627 * red + 0.678 * green + 0.0593 * blue) ** 0.2;
    [red, green, blue] = [
      a * red + b * green + c * blue,
      d * red + e * green + f * blue,
      g * red + h * green + i * blue,
    ];
    if (range !== undefined) {
      const peak = Math.max(red, green, blue) * scale;
      if (peak > KNEE) scale *= (KNEE + (1 - KNEE) * (1 - Math.exp((KNEE - peak) / (1 - KNEE)))) / peak;
    }
    out[at] = level(red * scale);
    out[at + 1] = level(green * scale);
    out[at + 2] = level(blue * scale);
    if (channels === 4) out[at + 3] = most === 255 ? (data[at + 3] ?? 0) : (data[at + 3] ?? 0) >> 8;
    if (++turn === PIXELS_A_TURN) {
      turn = 0;
      await new Promise((resume) => setImmediate(resume));
    }
  }
  return out;
}

function toSrgb(v: number): number {
  return v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055;
}
