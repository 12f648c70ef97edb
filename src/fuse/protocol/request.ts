/**
 * One request of the kernel, decoded in place.
 *
 * A `Request` lies over bytes it does not own (the session's buffer) or, after
 * `detach`, over its own copy. Nothing in it is used before it is checked: a
 * wrong length, a missing NUL, an id or offset of 2^53 or more throws an
 * `FsError` that the session turns into the answer.
 *
 * Structures are in the host's byte order and 8-byte aligned, so words are read
 * through a Uint32Array over the same memory. Bodies are addressed in 32-bit
 * words from the end of the header.
 */
import { type ErrnoName, FsError } from '../../lib/errors.js';
import type { Caller } from '../../tree/operations.js';
import { IN_HEADER_BYTES, NAME_MAX_BYTES, Opcode, SetattrField, TWO_32 } from './protocol.js';

const HIGH_LIMIT = 0x20_0000;
const HEADER_WORDS = IN_HEADER_BYTES / 4;

export class Request {
  readonly bytes: Buffer;
  readonly #words: Uint32Array;
  opcode = 0;
  /** The request's number as two halves; only echoed and compared. */
  uniqueLow = 0;
  uniqueHigh = 0;
  /** Where the body ends in `bytes` (extensions cut off). */
  end = 0;
  length = 0;
  /** How often this request was dispatched and found that it would wait for a base file. */
  tries = 0;
  /** When work on it began (performance.now), for statistics. */
  startMs = 0;

  /** `bytes` must start at an address divisible by 4 and have a length divisible by 4. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }

  /** Takes the `received` bytes just read. Returns what is wrong, if anything. */
  load(received: number): string | undefined {
    if (received < IN_HEADER_BYTES || received > this.bytes.length) {
      return `request of ${received} bytes`;
    }
    const words = this.#words;
    this.length = words[0] as number;
    this.opcode = words[1] as number;
    this.uniqueLow = words[2] as number;
    this.uniqueHigh = words[3] as number;
    this.tries = 0;
    if (this.length !== received) return `length field ${this.length}, received ${received}`;
    const extensionBytes = ((words[9] as number) & 0xffff) * 8;
    this.end = received - extensionBytes;
    if (this.end < IN_HEADER_BYTES) return `extensions of ${extensionBytes} bytes in ${received}`;
    return undefined;
  }

  /** The node the request is about. Throws EOVERFLOW at 2^53 and above. */
  get node(): number {
    return this.#number64(4);
  }

  /** The caller's thread, in the pid name space of the mount; 0: the kernel itself. */
  get callerPid(): number {
    return this.#words[8] as number;
  }

  caller(): Caller {
    const words = this.#words;
    return { uid: words[6] as number, gid: words[7] as number, pid: words[8] as number };
  }

  /** Bytes of the body. */
  get bodyBytes(): number {
    return this.end - IN_HEADER_BYTES;
  }

  /** Throws EIO unless the body has at least `bytes` bytes. */
  need(bytes: number): void {
    if (this.end - IN_HEADER_BYTES < bytes) {
      throw new FsError('EIO', `request ${this.opcode} of ${this.length} bytes`);
    }
  }

  /**
   * True for a truncation or fallocate: until it is answered, the kernel keeps
   * the inode's WRITEs back.
   */
  get isBarrier(): boolean {
    if (this.opcode === Opcode.FALLOCATE) return true;
    return (
      this.opcode === Opcode.SETATTR &&
      this.bodyBytes >= 4 &&
      (this.word(0) & SetattrField.SIZE) !== 0
    );
  }

  /** 32-bit word `index` of the body. Call `need` first. */
  word(index: number): number {
    return this.#words[HEADER_WORDS + index] as number;
  }

  /** Unsigned 64-bit value at word `index` of the body. Throws EOVERFLOW at 2^53 and above. */
  long(index: number): number {
    return this.#number64(HEADER_WORDS + index);
  }

  /** As `long`, for file offsets and sizes that programs choose: throws EFBIG, or `tooLarge`. */
  fileOffset(index: number, tooLarge: ErrnoName = 'EFBIG'): number {
    const high = this.#words[HEADER_WORDS + index + 1] as number;
    if (high >= HIGH_LIMIT) throw new FsError(tooLarge, `request ${this.opcode}`);
    return sixtyFour(high, this.#words[HEADER_WORDS + index] as number);
  }

  /** Signed 64-bit value (a time in seconds), rounded beyond ±2^53. */
  signedLong(index: number): number {
    const high = (this.#words[HEADER_WORDS + index + 1] as number) | 0;
    return sixtyFour(high, this.#words[HEADER_WORDS + index] as number);
  }

  /** Where the NUL of the string at body byte `at` is, as an index into `bytes`. */
  #terminator(at: number): number {
    const start = IN_HEADER_BYTES + at;
    const nul = start < this.end ? this.bytes.indexOf(0, start) : -1;
    if (nul < 0 || nul >= this.end) {
      throw new FsError('EIO', `request ${this.opcode}: unterminated string`);
    }
    return nul;
  }

  /** Any NUL-terminated string at body byte `at`. */
  string(at: number): string {
    return this.bytes.toString('latin1', IN_HEADER_BYTES + at, this.#terminator(at));
  }

  /**
   * A file name at body byte `at`: one path component. Throws EINVAL for an
   * invalid name, ENAMETOOLONG beyond 255 bytes.
   */
  name(at: number): string {
    const nul = this.#terminator(at);
    const name = this.bytes.toString('latin1', IN_HEADER_BYTES + at, nul);
    if (name.length > NAME_MAX_BYTES) throw new FsError('ENAMETOOLONG', `request ${this.opcode}`);
    if (name === '' || name === '.' || name === '..' || name.includes('/')) {
      throw new FsError('EINVAL', `request ${this.opcode}`);
    }
    return name;
  }

  /** `length` bytes of the body from byte `at`; a view, valid until the next request. */
  data(at: number, length: number): Buffer {
    const start = IN_HEADER_BYTES + at;
    if (length > this.end - start) {
      throw new FsError('EIO', `request ${this.opcode}: ${length} bytes of data announced`);
    }
    return this.bytes.subarray(start, start + length);
  }

  /** A copy with its own bytes, to keep beyond the next read. */
  detach(): Request {
    const copy = Buffer.from(new ArrayBuffer((this.length + 7) & ~7));
    this.bytes.copy(copy, 0, 0, this.length);
    const request = new Request(copy);
    request.load(this.length);
    request.tries = this.tries;
    request.startMs = this.startMs;
    return request;
  }

  #number64(index: number): number {
    const high = this.#words[index + 1] as number;
    if (high >= HIGH_LIMIT) throw new FsError('EOVERFLOW', `request ${this.opcode}`);
    return sixtyFour(high, this.#words[index] as number);
  }
}

/** Small numbers stay integers for V8: see format/big-endian.ts. */
function sixtyFour(high: number, low: number): number {
  return high === 0 ? low : high * TWO_32 + low;
}
