/** What the demo asks for: the five operations, each on a photograph that suits it, and two of them in one job. */
import { join } from 'node:path';
import sharp from 'sharp';
import { root } from '../stack/paths.js';

export interface DemoJob {
  /** The end of its jobId, and the name of its pictures. */
  readonly name: string;
  readonly title: string;
  readonly text: string;
  readonly photo: string;
  /** As `imagen submit` takes them. */
  readonly operations: readonly string[];
  readonly prepare?: (photo: Buffer) => Promise<Buffer>;
  /** Where the page's line stands at first, in per cent of the width; in the middle by default. */
  readonly line?: number;
  /** The part that the page shows: how many times enlarged, around which point (0 to 1, of each side). */
  readonly detail?: { readonly zoom: number; readonly x: number; readonly y: number };
}

/** With routes, these say which version serves a job. Without, a job that does not say gets the newest: 20 times slower on a CPU. */
export function demoJobs({ routed }: { routed: boolean }): DemoJob[] {
  return [
    {
      name: 'comic',
      title: 'Comic',
      text: 'Strokes, few tones and ink lines: a classical effect, nothing in it is learned.',
      photo: photo('chelsea'),
      operations: ['style_comic'],
    },
    {
      name: 'cut-out',
      title: 'Background removed',
      text: 'A learned network (IS-Net) finds the subject. Its mask is refined along the edges and becomes transparency.',
      photo: photo('rocket'),
      operations: ['background_remove'],
      line: 40,
    },
    {
      name: 'aged',
      title: 'Aged',
      text: 'A colour print that has hung in the sun since the seventies: a classical effect, nothing in it is learned.',
      photo: photo('coffee'),
      operations: ['style_aged'],
    },
    {
      name: 'cut-out-comic',
      title: 'Cut out, then comic',
      text: 'Two operations in one job, one after the other in memory, without storage in between.',
      photo: photo('astronaut'),
      operations: ['background_remove', 'style_comic'],
      detail: { zoom: 1, x: 0.5, y: 0.08 },
    },
    {
      name: 'upscaled',
      title: 'Upscaled four times',
      text: 'A learned network (Real-ESRGAN, compact) makes each side four times as long. Shown: a detail.',
      photo: photo('chelsea'),
      operations: [routed ? 'upscale' : 'upscale@1'],
      detail: { zoom: 3.2, x: 0.29, y: 0.36 },
    },
    {
      name: 'enhanced',
      title: 'Enhanced',
      text: `Learned restoration at the same size. The photograph was saved at JPEG quality ${poorQuality} first, so that there is something to restore. Shown: a detail.`,
      photo: photo('astronaut'),
      operations: ['enhance'],
      prepare: (bytes) => sharp(bytes).jpeg({ quality: poorQuality }).toBuffer(),
      detail: { zoom: 2.6, x: 0.43, y: 0.12 },
    },
  ];
}

const poorQuality = 15;

export const photo = (name: string): string => join(root, 'test/fixtures/photos', `${name}.jpg`);
