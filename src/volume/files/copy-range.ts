/** Copying between files of the live tree, in pieces. */
import { FsError } from '../../lib/errors.js';
import type { FileData } from './file-data.js';

const CHUNK_BYTES = 1024 * 1024;

/** Files by inode number; offsets and lengths in bytes. */
export type Copied = [
  source: number,
  sourceOffset: number,
  target: number,
  targetOffset: number,
  length: number,
];

/** Returns the bytes copied: fewer than `length` at the end of the source. */
export function copyRange(data: FileData, ...what: Copied): number {
  const [from, fromOffset, to, toOffset, length] = what;
  const { live } = data.core;
  const chunk = Buffer.alloc(Math.min(length, CHUNK_BYTES));
  let done = 0;
  while (done < length) {
    const source = data.inodes.get(live, from);
    if (source === undefined) throw new FsError('ESTALE', 'copy_file_range');
    const want = Math.min(chunk.length, length - done);
    const got = data.read(live, source, fromOffset + done, want, chunk, 0);
    if (got === 0) break;
    data.write(to, toOffset + done, chunk.subarray(0, got));
    done += got;
  }
  return done;
}
