/**
 * The files that differ between two views, as files: `before/PATH` and `after/PATH` in a
 * directory of the caller, for programs that compare files. What no patch shows line by line
 * anyway, very large files, is copied as a file of the same size that holds nothing.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, symlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bytesOfText, fsPath, textOfByteString } from '../../lib/byte-text.js';
import { CommandError, messageOf } from '../../lib/errors.js';
import type { DiffLine } from '../../volume/diff/diff.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import type { View } from '../../volume/view.js';

const WHOLE_BYTES = 32 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

export class DiffCopies {
  readonly #piece = Buffer.alloc(PIECE_BYTES);

  constructor(
    readonly volume: ReadableVolume,
    readonly from: View,
    readonly to: View,
    readonly directory: string,
  ) {}

  /** Throws CommandError `copies-failed`. */
  add({ kind, path, oldPath, oldInode, inode }: DiffLine): void {
    try {
      if (kind !== 'added') this.#copy(this.from, oldInode, 'before', oldPath ?? path);
      if (kind !== 'removed') this.#copy(this.to, inode, 'after', path);
    } catch (error) {
      throw new CommandError(
        'copies-failed',
        'EIO',
        `${this.directory} can't take the files that differ: ${messageOf(error)}`,
      );
    }
  }

  #copy(view: View, ino: number | undefined, side: 'before' | 'after', path: string): void {
    const inode = ino === undefined ? undefined : this.volume.inode(view, ino);
    if (inode === undefined) return;
    const to = join(this.directory, side, textOfByteString(path));
    if (inode.target !== undefined) {
      mkdirSync(fsPath(dirname(to)), { recursive: true });
      symlinkSync(bytesOfText(textOfByteString(inode.target)), fsPath(to));
      return;
    }
    if (!inode.isRegular) return;
    mkdirSync(fsPath(dirname(to)), { recursive: true });
    const fd = openSync(fsPath(to), 'wx', 0o600 | (inode.mode & 0o111));
    try {
      if (inode.size > WHOLE_BYTES) {
        // The two sides differ, and neither is text.
        writeSync(fd, Buffer.of(0, side === 'before' ? 0 : 1));
        ftruncateSync(fd, inode.size);
        return;
      }
      for (let at = 0; at < inode.size; at += PIECE_BYTES) {
        const length = Math.min(PIECE_BYTES, inode.size - at);
        this.volume.read(view, inode, at, length, this.#piece, 0);
        writeSync(fd, this.#piece, 0, length);
      }
    } finally {
      closeSync(fd);
    }
  }
}
