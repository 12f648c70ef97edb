/**
 * A piece of a larger buffer, named by its place: what is stored by the ten
 * thousand goes from slab to LMDB without a buffer object of its own. One span
 * is used again for the next piece, so nobody keeps one beyond a call.
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
