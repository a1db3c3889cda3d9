/**
 * libjpeg-turbo, called directly through its TurboJPEG API. libvips uses a relative of it, so pixels and files are the same as
 * those of sharp, for a third to two thirds of the processor time (docs/decisions/0031-turbojpeg.md).
 */
import { createRequire } from 'node:module';
import type koffi from 'koffi';
import type { KoffiFunc, LibraryHandle } from 'koffi';
import { acquirePixels, releasePixels } from '../../domain/pixel-memory.js';
import type { Size } from '../../domain/raster.js';

/** Decodes and encodes ordinary JPEGs. Everything that it declines is a job for sharp. */
export interface TurboJpeg {
  /** @returns undefined unless the file is a grey or a colour picture; inks are declined */
  header(jpeg: Buffer): TurboHeader | undefined;
  /**
   * Decodes into rows of 8-bit RGB, as the file has them: it applies neither orientation nor profile.
   * @param size of the file's header
   * @returns undefined if the library reports an error or a warning, or finds another size in the file
   */
  decode(jpeg: Buffer, size: Size): Promise<Buffer | undefined>;
  /**
   * Encodes 8-bit RGB, without metadata.
   * @param quality 1 to 100
   * @returns undefined if the library cannot encode it
   */
  encode(rgb: Buffer, size: Size, quality: number, subsampling: '4:4:4' | '4:2:0'): Promise<Buffer | undefined>;
}

export interface TurboHeader extends Size {
  readonly grey: boolean;
}

/** The name by which the loader of any Linux finds the library. All its versions since 1.4 have these functions. */
const LIBRARY = 'libturbojpeg.so.0';
/** Constants of turbojpeg.h. */
const TJ = {
  ...{ RGB: 0, SAMP_444: 0, SAMP_420: 2, CS_CMYK: 3, CS_GRAY: 2 },
  ...{ ACCURATEDCT: 4096, STOPONWARNING: 8192, LIMITSCANS: 32_768 },
} as const;
/** The library writes a JFIF header, which states a density that nobody knows. sharp writes none. */
const JFIF_BYTES = 18;

/** An instance of the library. It does one thing at a time. Null when memory is short, which every function then reports. */
type Handle = bigint | null;
/** Memory that the library allocated. */
type Pointer = bigint | null;

interface Library {
  readonly initDecompress: KoffiFunc<() => Handle>;
  readonly initCompress: KoffiFunc<() => Handle>;
  readonly header: KoffiFunc<
    (of: Handle, jpeg: Buffer, bytes: number, ...out: [number[], number[], number[], number[]]) => number
  >;
  readonly decompress: KoffiFunc<
    (
      ...args: [
        ...[of: Handle, jpeg: Buffer, bytes: number],
        ...[to: Buffer, width: number, pitch: number, height: number, format: number, flags: number],
      ]
    ) => number
  >;
  readonly compress: KoffiFunc<
    (
      ...args: [
        ...[of: Handle, rgb: Buffer, width: number, pitch: number, height: number, format: number],
        ...[to: Pointer[], bytes: number[], subsampling: number, quality: number, flags: number],
      ]
    ) => number
  >;
  readonly free: KoffiFunc<(memory: Pointer) => void>;
  readonly destroy: KoffiFunc<(of: Handle) => number>;
}

/**
 * The library that serves the setting IMAGEN_JPEG_CODEC.
 * @param onMissing called with the reason if this machine has no such library
 * @returns undefined where sharp is to do everything
 */
export function turboFor(
  codec: 'auto' | 'sharp',
  onMissing: (reason: string) => void = () => undefined,
): TurboJpeg | undefined {
  if (codec === 'sharp') return undefined;
  const found = loadTurboJpeg();
  if ('turbo' in found) return found.turbo;
  onMissing(found.missing);
  return undefined;
}

type Koffi = Pick<typeof koffi, 'load' | 'view'>;

/** An import would end the program where koffi has no build for the machine, although sharp can do everything there. */
const loadKoffi = (): Koffi => createRequire(import.meta.url)('koffi') as Koffi;

/** @returns why this machine cannot use such a library, if it cannot */
export function loadTurboJpeg(
  name = LIBRARY,
  loadCaller = loadKoffi,
): { readonly turbo: TurboJpeg } | { readonly missing: string } {
  try {
    const caller = loadCaller();
    return { turbo: turboJpeg(functionsOf(caller.load(name)), caller) };
  } catch (thrown) {
    return { missing: `${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}` };
  }
}

function functionsOf(library: LibraryHandle): Library {
  const input = 'const uint8_t* from';
  return {
    initDecompress: library.func('void* tjInitDecompress()'),
    initCompress: library.func('void* tjInitCompress()'),
    header: library.func(
      `int tjDecompressHeader3(void* of, ${input}, unsigned long bytes, _Out_ int*, _Out_ int*, _Out_ int*, _Out_ int*)`,
    ),
    decompress: library.func(
      `int tjDecompress2(void* of, ${input}, unsigned long bytes, uint8_t* to, int width, int pitch, int height, int, int)`,
    ),
    compress: library.func(
      `int tjCompress2(void* of, ${input}, int width, int pitch, int height, int, _Inout_ void**, _Out_ unsigned long*, int, int, int)`,
    ),
    free: library.func('void tjFree(void* memory)'),
    destroy: library.func('int tjDestroy(void* of)'),
  };
}

function turboJpeg(library: Library, { view }: Pick<Koffi, 'view'>): TurboJpeg {
  // Each file gets a new instance, because an instance keeps the tables of one file for the next, which may lack its own.
  const decompressor = instances(library.initDecompress, library.destroy);
  const compressor = instances(library.initCompress, library.destroy);
  const headerBy = (handle: Handle, jpeg: Buffer): TurboHeader | undefined => {
    const [width, height, subsampling, space] = [[0], [0], [0], [0]];
    if (library.header(handle, jpeg, jpeg.length, width, height, subsampling, space) !== 0) return undefined;
    const [channels = TJ.CS_CMYK] = space;
    if (channels >= TJ.CS_CMYK) return undefined;
    return { width: width[0] ?? 0, height: height[0] ?? 0, grey: channels === TJ.CS_GRAY };
  };
  return {
    header: (jpeg) => decompressor.now((handle) => headerBy(handle, jpeg)),
    decode: (jpeg, { width, height }) =>
      decompressor.use(async (handle) => {
        const stated = headerBy(handle, jpeg);
        // The library writes as many rows as the file states.
        if (stated?.width !== width || stated.height !== height) return undefined;
        const rgb = acquirePixels(width * height * 3);
        const flags = TJ.ACCURATEDCT | TJ.STOPONWARNING | TJ.LIMITSCANS;
        const failed = await failsInThread(
          library.decompress,
          ...([handle, jpeg, jpeg.length, rgb, width, width * 3, height, TJ.RGB, flags] as const),
        );
        if (!failed) return rgb;
        releasePixels(rgb);
        return undefined;
      }),
    encode: (rgb, { width, height }, quality, subsampling) =>
      compressor.use(async (handle) => {
        if (rgb.length < width * height * 3)
          throw new Error(`expected ${width}x${height} pixels, given ${rgb.length} bytes`);
        const [to, bytes]: [Pointer[], number[]] = [[null], [0]];
        const sampled = subsampling === '4:4:4' ? TJ.SAMP_444 : TJ.SAMP_420;
        const failed = await failsInThread(
          library.compress,
          ...([handle, rgb, width, width * 3, height, TJ.RGB] as const),
          ...([to, bytes, sampled, quality, TJ.ACCURATEDCT] as const),
        );
        const [pointer = null] = to;
        try {
          return failed || pointer === null ? undefined : withoutJfif(view(pointer, bytes[0] ?? 0));
        } finally {
          library.free(pointer);
        }
      }),
  };
}

function instances(init: () => Handle, destroy: (handle: Handle) => number) {
  return {
    now<T>(work: (handle: Handle) => T): T {
      const handle = init();
      try {
        return work(handle);
      } finally {
        destroy(handle);
      }
    },
    async use<T>(work: (handle: Handle) => Promise<T>): Promise<T> {
      const handle = init();
      try {
        return await work(handle);
      } finally {
        destroy(handle);
      }
    },
  };
}

/** Buffers whose memory a thread uses. Without a reference in here V8 could free them meanwhile. */
const inUse = new Set<readonly unknown[]>();

/**
 * Calls a function of the library in a thread of Node's pool.
 * @returns whether it failed. koffi refuses a call if hundreds run at once; that is a failure as well, and sharp does the work
 */
async function failsInThread<A extends readonly unknown[]>(
  call: KoffiFunc<(...args: A extends unknown[] ? A : never) => number>,
  ...args: A extends unknown[] ? A : never
): Promise<boolean> {
  inUse.add(args);
  try {
    return await new Promise<boolean>((resolve) => {
      call.async(...args, (error: Error | null, result: number) => resolve(error !== null || result !== 0));
    });
  } catch {
    return true;
  } finally {
    inUse.delete(args);
  }
}

function withoutJfif(file: ArrayBuffer): Buffer {
  const jpeg = Buffer.from(file);
  const copy = Buffer.allocUnsafeSlow(jpeg.length - JFIF_BYTES);
  jpeg.copy(copy, 0, 0, 2);
  jpeg.copy(copy, 2, 2 + JFIF_BYTES);
  return copy;
}
