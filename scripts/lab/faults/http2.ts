/**
 * Follows the HTTP/2 frames of one connection far enough to cancel, in the client's place, the streams that it leaves
 * open. For the Pub/Sub emulator (0.8.20), which does not notice that a connection has ended: it goes on giving messages
 * to its streams, again and again, each time for a whole ack deadline. Google's service notices.
 */
export class OpenStreams {
  readonly #open = new Set<number>();
  readonly #fromClient = new FrameReader(PREFACE_BYTES, ({ id, type }) => {
    if (type === HEADERS) this.#open.add(id);
    if (type === RST_STREAM) this.#open.delete(id);
  });
  readonly #fromServer = new FrameReader(0, ({ id, type, flags }) => {
    const last = (type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0;
    if (last || type === RST_STREAM) this.#open.delete(id);
  });

  clientSent(chunk: Buffer): void {
    this.#fromClient.read(chunk);
  }

  serverSent(chunk: Buffer): void {
    this.#fromServer.read(chunk);
  }

  /** What to send to the server before the connection ends; nothing in the middle of a frame, where it would be misread. */
  cancellation(): Buffer {
    if (!this.#fromClient.isBetweenFrames) return Buffer.alloc(0);
    return Buffer.concat([...this.#open].map(cancel));
  }
}

interface Frame {
  readonly id: number;
  readonly type: number;
  readonly flags: number;
}

/** RFC 9113: the client's preface, the header of a frame, and what is needed of types, flags and error codes. */
const PREFACE_BYTES = 24;
const HEADER_BYTES = 9;
const [DATA, HEADERS, RST_STREAM] = [0, 1, 3];
const END_STREAM = 1;
const CANCEL = 8;

class FrameReader {
  #skip: number;
  #header = Buffer.alloc(0);
  readonly #onFrame: (frame: Frame) => void;

  constructor(preface: number, onFrame: (frame: Frame) => void) {
    this.#skip = preface;
    this.#onFrame = onFrame;
  }

  get isBetweenFrames(): boolean {
    return this.#skip === 0 && this.#header.length === 0;
  }

  read(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, rest.length);
        this.#skip -= skipped;
        rest = rest.subarray(skipped);
        continue;
      }
      const missing = HEADER_BYTES - this.#header.length;
      this.#header = Buffer.concat([this.#header, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#header.length < HEADER_BYTES) return;
      const header = this.#header;
      this.#skip = header.readUIntBE(0, 3);
      this.#header = Buffer.alloc(0);
      this.#onFrame({ type: header.readUInt8(3), flags: header.readUInt8(4), id: header.readUInt32BE(5) & 0x7fffffff });
    }
  }
}

function cancel(id: number): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + 4);
  frame.writeUIntBE(4, 0, 3);
  frame.writeUInt8(RST_STREAM, 3);
  frame.writeUInt32BE(id, 5);
  frame.writeUInt32BE(CANCEL, HEADER_BYTES);
  return frame;
}
