import type { Size } from '../domain/raster.js';
import type { Cost } from './cost.js';

/** Pictures of different sizes that are padded to one window, so that Triton can run them as one batch. */
export interface PaddedGroup<T extends Size> {
  /** Width and height to which every member is padded, in pixels. */
  readonly window: Size;
  /** The pictures of the group, the leader first. */
  readonly members: readonly T[];
}

export interface GroupLimits {
  /** Limit of pictures. */
  readonly requests: number;
  /** Limit of pixels of all windows together. A single picture that exceeds it stays alone. */
  readonly pixels: number;
}

/**
 * Finds the pictures that should share an execution with `leader`. Each picture that joins saves one launch, `fixed`. Each
 * pixel of padding costs `perPixel`, for the leader too. The group with the greatest saving wins. A picture alone saves
 * nothing, so by this measure a group never costs more than its members sent one by one.
 *
 * It tries all windows whose sides are sides of the given pictures. There are n² windows, and it sorts the pictures into
 * each one. So pass it tens of pictures (0.1 ms for 30) and not hundreds.
 */
export function fillGroup<T extends Size>(
  leader: T,
  others: readonly T[],
  { fixed, perPixel }: Cost,
  limits: GroupLimits,
): PaddedGroup<T> {
  let best: PaddedGroup<T> = { window: sizeOf(leader), members: [leader] };
  let most = 0;
  for (const window of windowsFor(leader, others)) {
    const room = Math.min(limits.requests, Math.floor(limits.pixels / areaOf(window))) - 1;
    const padding = (picture: Size) => perPixel * (areaOf(window) - areaOf(picture));
    if (room < 1 || room * fixed - padding(leader) < most) continue;
    const joining = others
      .filter(({ width, height }) => width <= window.width && height <= window.height)
      .map((picture) => ({ picture, saving: fixed - padding(picture) }))
      .filter(({ saving }) => saving >= 0)
      .sort((a, b) => b.saving - a.saving)
      .slice(0, room);
    const saving = joining.reduce((sum, one) => sum + one.saving, -padding(leader));
    // Pictures of equal size share a group even if a launch costs nothing.
    if (saving > most || (saving === most && joining.length >= best.members.length)) {
      most = saving;
      best = { window, members: [leader, ...joining.map(({ picture }) => picture)] };
    }
  }
  return best;
}

/** The windows that hold the leader, and whose width and height are each the side of a picture. */
function windowsFor(leader: Size, others: readonly Size[]): Size[] {
  const sides = (side: 'width' | 'height') => [
    ...new Set([leader, ...others].map((picture) => Math.max(leader[side], picture[side]))),
  ];
  const heights = sides('height');
  return sides('width').flatMap((width) => heights.map((height) => ({ width, height })));
}

function sizeOf({ width, height }: Size): Size {
  return { width, height };
}

function areaOf({ width, height }: Size): number {
  return width * height;
}
