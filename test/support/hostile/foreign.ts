/** Files that are no picture that we read, and files that are two things at once. */
import { deflateSync, gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { pngChunk, withSegment } from '../pictures.js';
import { tiff } from '../tiff.js';
import { avif, box, coded, picture } from './avif.js';
import { random } from './random.js';

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const ZIP = latin1('PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0aPK\x05\x06' + '\0'.repeat(18));
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>';
const PDF = '%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n';
const HTML = '<!doctype html><script>alert(1)</script>';

/** Each must be refused as `UNSUPPORTED_FORMAT`. */
export async function foreign(): Promise<Readonly<Record<string, Buffer>>> {
  const size = { width: 16, height: 16 };
  const hevc = { ...picture(await coded(size), size), type: 'hvc1' } as const;
  const noise = random(1);
  return {
    'tiff-of-lab': tiff({ width: 2, height: 2, pixel: () => [1, 2, 3], photometric: 8 }),
    dng: tiff({ width: 2, height: 2, pixel: () => [1], photometric: 32_803 }),
    jp2: latin1('\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 '),
    j2k: latin1('\xff\x4f\xff\x51\0\x29\0\0\0\0\0\x08\0\0\0\x08'),
    jxl: latin1('\xff\x0a\xfa\x1f\x01\x90'),
    'jxl-box': latin1('\0\0\0\x0cJXL \r\n\x87\n'),
    heic: avif([hevc], { brand: 'heic' }),
    'heic-as-avif': avif([hevc]),
    'heic-of-jpeg': avif([{ ...hevc, type: 'jpeg' }], { brand: 'mif1' }),
    mp4: Buffer.concat([box('ftyp', latin1('isom\0\0\0\0isom')), box('moov', box('mvhd', Buffer.alloc(100)))]),
    bmp: Buffer.concat([
      latin1('BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0'),
      Buffer.alloc(40),
    ]),
    ico: Buffer.concat([latin1('\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0'), Buffer.alloc(80)]),
    psd: Buffer.concat([latin1('8BPS\0\x01\0\0\0\0\0\0\0\x03'), Buffer.alloc(60)]),
    exr: latin1('v/1\x01\x02\0\0\0channels\0chlist\0'),
    hdr: latin1('#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\x80\x80\x80\x80'),
    fits: latin1('SIMPLE  =                    T'.padEnd(2880)),
    ppm: latin1('P6 1 1 255 abc'),
    pfm: latin1('PF\n1 1\n-1.0\n' + '\0'.repeat(12)),
    vips: latin1('\xb6\xa6\xf2\x08' + '\0'.repeat(64)),
    matlab: latin1('MATLAB 5.0 MAT-file'),
    svg: latin1(SVG),
    'svg-with-entities': latin1(`<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "${'a'.repeat(99)}">]>${SVG}`),
    svgz: gzipSync(SVG),
    mvg: latin1('push graphic-context\nfill \'url(https://example.com/"|id")\'\n'),
    eps: latin1('%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n'),
    pdf: latin1(PDF),
    zip: ZIP,
    text: latin1('I am a picture, honestly.'),
    html: latin1(HTML),
    json: latin1('{"jobId":"a"}'),
    csv: latin1('image::a.jpg,1\n'),
    script: latin1('#!/bin/sh\nrm -rf /\n'),
    elf: latin1('\x7fELF\x02\x01\x01' + '\0'.repeat(57)),
    avi: latin1('RIFF\x24\0\0\0AVI LIST' + '\0'.repeat(24)),
    wav: latin1('RIFF\x24\0\0\0WAVEfmt ' + '\0'.repeat(24)),
    'one-byte': Buffer.from([0xff]),
    zeros: Buffer.alloc(10_000),
    ones: Buffer.alloc(10_000, 0xff).fill(0xfe, 0, 1),
    noise: Buffer.from(Array.from({ length: 10_000 }, (_, i) => (i === 0 ? 1 : noise(256)))),
  };
}

/** Decided by how they begin: what they also are reaches nobody. */
export async function polyglots(): Promise<Readonly<Record<string, { bytes: Buffer; outcome: string }>>> {
  const small = sharp({ create: { width: 8, height: 8, channels: 3, background: '#864' } });
  const jpeg = await small.jpeg().toBuffer();
  const png = await small.png().toBuffer();
  const webp = await small.webp().toBuffer();
  const gif = await small.gif().toBuffer();
  const size = { width: 16, height: 16 };
  const file = avif([picture(await coded(size), size)]);
  const inPng = (type: string, data: Buffer) =>
    Buffer.concat([png.subarray(0, 33), pngChunk(type, data), png.subarray(33)]);
  const is = (outcome: string, ...parts: Uint8Array[]) => ({ bytes: Buffer.concat(parts), outcome });
  return {
    'jpeg-and-zip': is('success', jpeg, ZIP),
    'jpeg-and-jpeg': is('success', jpeg, jpeg),
    'jpeg-with-pdf': is('success', withSegment(jpeg, 0xfe, latin1(PDF))),
    'jpeg-with-html': is('success', withSegment(jpeg, 0xfe, latin1(HTML))),
    'png-and-zip': is('success', png, ZIP),
    'png-with-svg': is('success', inPng('tEXt', latin1(`Comment\0${SVG}`))),
    'png-with-script': is('success', inPng('prVt', latin1(HTML))),
    'webp-and-zip': is('success', webp, ZIP),
    'avif-and-zip': is('success', file, box('free', ZIP)),
    'gif-and-jpeg': is('success', gif, jpeg),
    'tiff-and-zip': is('success', await small.tiff().toBuffer(), ZIP),
    'gif-head-on-jpeg': is('INPUT_CORRUPT', gif.subarray(0, 6), jpeg),
    'tiff-head-on-jpeg': is('INPUT_CORRUPT', latin1('II*\0'), jpeg),
    'pdf-and-jpeg': is('UNSUPPORTED_FORMAT', latin1(PDF), jpeg),
    'svg-with-jpeg': is(
      'UNSUPPORTED_FORMAT',
      latin1(
        `<svg xmlns="http://www.w3.org/2000/svg"><image href="data:image/jpeg;base64,${jpeg.toString('base64')}"/></svg>`,
      ),
    ),
    'html-and-png': is('UNSUPPORTED_FORMAT', latin1(HTML), png),
    'zip-and-png': is('UNSUPPORTED_FORMAT', ZIP, png),
    'png-head-on-jpeg': is('INPUT_CORRUPT', png.subarray(0, 8), jpeg),
    'jpeg-head-on-png': is('INPUT_CORRUPT', jpeg.subarray(0, 4), png),
    'webp-head-on-svg': is('INPUT_CORRUPT', latin1('RIFF\x64\0\0\0WEBPVP8 '), latin1(SVG)),
    'avif-head-on-svg': is('INPUT_CORRUPT', box('ftyp', latin1('avif\0\0\0\0mif1')), latin1(SVG)),
    'deflated-jpeg': is('UNSUPPORTED_FORMAT', deflateSync(jpeg)),
  };
}
