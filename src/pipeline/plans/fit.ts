import sharp from 'sharp';
import type { VersionContract } from '../../domain/contract.js';
import { isSameSize, type Size } from '../../domain/raster.js';
import { costOf, RESIZE_NS } from '../codec.js';
import { enlarge } from '../enlarge.js';
import type { Plan } from './plan.js';

/** Position and size of the image inside the frame. */
export interface Letterbox extends Size {
  readonly x: number;
  readonly y: number;
}

/** The largest centred box with the image's aspect ratio inside `frame`; at least one pixel per side. */
export function letterbox(image: Size, frame: Size): Letterbox {
  const ratio = Math.min(frame.width / image.width, frame.height / image.height);
  const width = Math.min(frame.width, Math.max(1, Math.round(image.width * ratio)));
  const height = Math.min(frame.height, Math.max(1, Math.round(image.height * ratio)));
  return { x: Math.floor((frame.width - width) / 2), y: Math.floor((frame.height - height) / 2), width, height };
}

/** One view of the whole image in a frame of fixed size. All requests have the same shape, so batches always form. */
export const fit: Plan = {
  shapes: ({ fitSize }) => (fitSize ? [{ plan: 'fit', ...fitSize, requests: 1 }] : []),

  useful(image, shape, { fitMode }) {
    const { width, height } = placeOf(image, shape, fitMode);
    return width * height;
  },

  async execute(raster, shape, { scale, fitMode, fitFill: [r, g, b] }, channels, send, codec) {
    const box = placeOf(raster, shape, fitMode);
    const out = { width: raster.width * scale, height: raster.height * scale };
    const frame = sharp(raster.rgb, { raw: { width: raster.width, height: raster.height, channels: 3 } })
      .resize(box.width, box.height, { fit: 'fill' })
      .extend({
        left: box.x,
        top: box.y,
        right: shape.width - box.x - box.width,
        bottom: shape.height - box.y - box.height,
        background: { r, g, b },
      })
      .raw();
    // Resized before `send`: a request that waited for a codec slot would delay the others in its batch.
    const rgb = await codec(costOf(larger(raster, shape), RESIZE_NS), () => frame.toBuffer());
    let answered: Buffer | undefined;
    await send(
      () => ({ x: 0, y: 0, width: shape.width, height: shape.height, rgb }),
      (answer) => (answered = answer.data),
    );
    if (!answered) throw new TypeError('send settled without an answer');
    const raw = { width: shape.width * scale, height: shape.height * scale, channels };
    const cropped = { left: box.x * scale, top: box.y * scale, width: box.width * scale, height: box.height * scale };
    const reduced = { width: Math.min(cropped.width, out.width), height: Math.min(cropped.height, out.height) };
    const view = sharp(answered, { raw })
      .extract(cropped)
      .resize(reduced.width, reduced.height, { fit: 'fill', kernel: channels === 1 ? 'linear' : 'lanczos3' });
    // Without it, sharp returns three channels for a one-channel picture.
    const plain = (channels === 1 ? view.toColourspace('b-w') : view).raw();
    const data = await codec(costOf(raw, RESIZE_NS), () => plain.toBuffer());
    return {
      ...out,
      channels,
      data: isSameSize(reduced, out) ? data : await enlarge({ ...reduced, channels, data }, out),
    };
  },
};

function larger(a: Size, b: Size): Size {
  return a.width * a.height > b.width * b.height ? a : b;
}

function placeOf(image: Size, { width, height }: Size, mode: VersionContract['fitMode']): Letterbox {
  return mode === 'stretch' ? { x: 0, y: 0, width, height } : letterbox(image, { width, height });
}
