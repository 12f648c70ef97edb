/** One open control file. What a kind of file can't do it leaves out. */
import type { Deferred } from '../lib/deferred.js';

export interface OpenedFile {
  read(offset: number, length: number): Buffer | Deferred<Buffer>;
  /** Absent: read-only. Returns the bytes taken. */
  write?(offset: number, data: Buffer): number | Deferred<number>;
  truncate?(): void;
  flush?(): undefined | Deferred<void>;
  close?(): void;
}

/** Content made at `open`. */
export function fixedContent(content: Buffer): OpenedFile {
  return {
    read: (offset, length) => content.subarray(Math.min(offset, content.length), offset + length),
  };
}
