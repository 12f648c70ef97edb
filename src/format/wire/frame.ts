/**
 * Frames: the messages between two volumes on a connection
 * (native-notes/peering.md). Pure.
 *
 * A frame is a kind from a closed list, a JSON object and bytes. Its header has
 * a fixed length and a checksum. Every length in it is compared with the limits
 * before memory is allocated.
 *
 * What must hold: the frames do not depend on how the bytes are cut into
 * pieces; for any bytes, the decoder returns frames or throws FrameError, and
 * holds at most one frame of the size its limits allow.
 */
import { copyBytes } from '../../lib/copy-bytes.js';
import { checksum } from '../checksum.js';
import { uint16At, uint32At } from '../big-endian.js';
import { decodeUtf8 } from '../../lib/byte-text.js';

export const FRAME_VERSION = 1;
export const FRAME_HEADER_LENGTH = 20;
export const MAX_KIND_LENGTH = 32;
export const MAX_BODY_LENGTH = 64 * 1024;
export const MAX_PAYLOAD_LENGTH = 1024 * 1024;

const MAGIC = 0x5346;
const CHECKED_LENGTH = FRAME_HEADER_LENGTH - 4;

export interface Frame {
  kind: string;
  body: Record<string, unknown>;
  payload: Uint8Array;
}

export interface FrameLimits {
  kinds: ReadonlySet<string>;
  bodyMax: number;
  payloadMax: number;
}

/** The bytes are not a frame, or the frame is not allowed. The connection can't continue. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

const EMPTY = Buffer.alloc(0);
/** The payload of a frame that has none. */
export const NO_PAYLOAD: Uint8Array = EMPTY;

/** A frame without its payload. Throws FrameError beyond the limits: a bug of the caller. */
export function encodeFrameHead(frame: Frame): Buffer {
  const kind = Buffer.from(frame.kind, 'latin1');
  const body = Buffer.from(JSON.stringify(frame.body));
  const { payload } = frame;
  if (kind.length === 0 || kind.length > MAX_KIND_LENGTH) throw new FrameError('bad kind');
  if (body.length > MAX_BODY_LENGTH) throw new FrameError(`${frame.kind}: the body is too long`);
  if (payload.length > MAX_PAYLOAD_LENGTH) {
    throw new FrameError(`${frame.kind}: the payload is too long`);
  }
  const out = Buffer.allocUnsafe(FRAME_HEADER_LENGTH + kind.length + body.length);
  out.writeUInt16BE(MAGIC, 0);
  out[2] = FRAME_VERSION;
  out[3] = kind.length;
  out.writeUInt32BE(body.length, 4);
  out.writeUInt32BE(payload.length, 8);
  out.writeUInt32BE(0, 12);
  out.writeUInt32BE(checksum(out, 0, CHECKED_LENGTH), CHECKED_LENGTH);
  out.set(kind, FRAME_HEADER_LENGTH);
  out.set(body, FRAME_HEADER_LENGTH + kind.length);
  return out;
}

/** Throws FrameError like `encodeFrameHead`. */
export function encodeFrame(frame: Frame): Buffer {
  return Buffer.concat([encodeFrameHead(frame), frame.payload]);
}

interface Lengths {
  kind: number;
  body: number;
  payload: number;
}

export class FrameDecoder {
  /** May change between frames: unpaired volumes are allowed less than peers. */
  limits: FrameLimits;
  readonly #header = Buffer.alloc(FRAME_HEADER_LENGTH);
  #headerLength = 0;
  #lengths: Lengths | undefined;
  /** Bytes of kind and body. */
  #text: Buffer = EMPTY;
  #textLength = 0;
  /** Memory of its own, which the receiver of the frame may pass on. */
  #payload: Buffer = EMPTY;
  #payloadLength = 0;

  /** `room` allocates memory for a payload of `length` bytes, which belongs to the frame. */
  constructor(
    limits: FrameLimits,
    readonly room: (length: number) => Buffer = (length) => Buffer.allocUnsafeSlow(length),
  ) {
    this.limits = limits;
  }

  /** True in the middle of a frame: a connection that ends here is broken. */
  get isInside(): boolean {
    return this.#headerLength > 0;
  }

  /**
   * The frames completed by these bytes. `bytes` may be reused once all frames
   * are taken; frames own their memory. Throws FrameError.
   */
  *push(bytes: Uint8Array): Generator<Frame, void, undefined> {
    let at = 0;
    while (at < bytes.length) {
      if (this.#lengths === undefined) {
        const count = copyInto(this.#header, this.#headerLength, bytes, at);
        at += count;
        this.#headerLength += count;
        if (this.#headerLength < FRAME_HEADER_LENGTH) return;
        this.#lengths = readHeader(this.#header, this.limits);
        const { kind, body, payload } = this.#lengths;
        this.#text = Buffer.allocUnsafe(kind + body);
        this.#textLength = 0;
        this.#payload = payload === 0 ? EMPTY : this.room(payload);
        this.#payloadLength = 0;
      }
      const ofText = copyInto(this.#text, this.#textLength, bytes, at);
      at += ofText;
      this.#textLength += ofText;
      const ofPayload = copyInto(this.#payload, this.#payloadLength, bytes, at);
      at += ofPayload;
      this.#payloadLength += ofPayload;
      if (this.#textLength < this.#text.length) return;
      if (this.#payloadLength < this.#payload.length) return;
      const frame = frameOf(this.#text, this.#payload, this.#lengths, this.limits);
      this.#lengths = undefined;
      this.#headerLength = 0;
      this.#text = EMPTY;
      this.#payload = EMPTY;
      yield frame;
    }
  }
}

/** Copies as much as fits; returns the number of bytes. */
function copyInto(into: Buffer, filled: number, bytes: Uint8Array, at: number): number {
  const count = Math.min(into.length - filled, bytes.length - at);
  copyBytes(bytes, at, count, into, filled);
  return count;
}

function readHeader(header: Buffer, limits: FrameLimits): Lengths {
  if (uint16At(header, 0) !== MAGIC) throw new FrameError('what came is no frame');
  if (checksum(header, 0, CHECKED_LENGTH) !== uint32At(header, CHECKED_LENGTH)) {
    throw new FrameError('the header of a frame is damaged');
  }
  if (header[2] !== FRAME_VERSION) throw new FrameError(`frames of version ${header[2]}`);
  const lengths = {
    kind: header[3] as number,
    body: uint32At(header, 4),
    payload: uint32At(header, 8),
  };
  if (lengths.kind === 0 || lengths.kind > MAX_KIND_LENGTH) {
    throw new FrameError(`a frame announces a kind of ${lengths.kind} bytes`);
  }
  if (lengths.body > limits.bodyMax) {
    throw new FrameError(`a frame announces ${lengths.body} bytes of text`);
  }
  if (lengths.payload > limits.payloadMax) {
    throw new FrameError(`a frame announces ${lengths.payload} bytes of payload`);
  }
  return lengths;
}

function frameOf(text: Buffer, payload: Buffer, lengths: Lengths, limits: FrameLimits): Frame {
  const kind = text.toString('latin1', 0, lengths.kind);
  if (!limits.kinds.has(kind)) {
    throw new FrameError(`a frame of the unknown kind ${JSON.stringify(kind)}`);
  }
  return { kind, body: readBody(kind, text.subarray(lengths.kind)), payload };
}

function readBody(kind: string, bytes: Uint8Array): Record<string, unknown> {
  const text = decodeUtf8(bytes);
  if (text !== undefined) {
    try {
      const body: unknown = JSON.parse(text);
      if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
        return body as Record<string, unknown>;
      }
    } catch {
      // Reported below.
    }
  }
  throw new FrameError(`the body of a frame ${kind} is no JSON object`);
}
