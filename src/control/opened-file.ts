/** One open control file. Operations that a kind of file lacks are absent. */
import type { Deferred } from '../lib/deferred.js';

export interface OpenedFile {
  read(offset: number, length: number): Buffer | Deferred<Buffer>;
  /** Absent: read-only. Returns the number of bytes accepted. */
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
