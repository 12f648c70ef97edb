/**
 * A piece of a larger buffer, given by its position. Records by the ten
 * thousand go from slab to LMDB without a buffer object each. One span is
 * reused for the next piece, so callers must not keep it beyond a call.
 */
export class Span {
  bytes: Uint8Array;
  start = 0;
  length = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  set(bytes: Uint8Array, start: number, length: number): this {
    this.bytes = bytes;
    this.start = start;
    this.length = length;
    return this;
  }

  /** A view of the same bytes. */
  view(): Buffer {
    const { buffer, byteOffset } = this.bytes;
    return Buffer.from(buffer as ArrayBuffer, byteOffset + this.start, this.length);
  }
}
