/**
 * Whether the base and the tree have the same at a place: then both have made
 * the same change, or somebody has brought the base's version into the tree, and
 * there is no conflict (rule A2). Times may differ. Works in pieces; a large
 * file is read to its end.
 */
import { DIRECTORY_TYPE, S_IFLNK, S_IFMT, S_IFREG } from '../../lib/file-mode.js';
import { FsError } from '../../lib/errors.js';
import type { Work } from '../../lib/work.js';
import type { BaseDirectory, BaseStat } from '../../base/base-directory.js';
import { referenceTo } from '../../base/base-stat.js';
import type { Inode } from '../inode.js';
import { joinPath } from '../names/inode-reader.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

const PIECE_BYTES = 64 * 1024;

export class Sameness {
  readonly #left = Buffer.alloc(PIECE_BYTES);
  readonly #right = Buffer.alloc(PIECE_BYTES);

  constructor(
    readonly volume: ReadableVolume,
    readonly base: BaseDirectory,
    readonly view: View,
  ) {}

  /** Of directories: the tree has everything that the base has there, and perhaps more. */
  *isSame(path: string, found: BaseStat, inode: Inode): Work<boolean> {
    yield undefined;
    try {
      if (found.mode !== inode.mode || found.uid !== inode.uid || found.gid !== inode.gid) {
        return false;
      }
      if (!this.#hasSameXattrs(path, inode)) return false;
      const type = found.mode & S_IFMT;
      if (type === S_IFLNK) return this.base.readlink(path) === inode.target;
      if (type === S_IFREG) return yield* this.#hasSameBytes(path, found, inode);
      if (type >>> 12 !== DIRECTORY_TYPE) return found.rdev === inode.rdev;
      return yield* this.#hasAll(path, inode);
    } catch (error) {
      // What can't be read is not known to be the same.
      if (error instanceof FsError) return false;
      throw error;
    }
  }

  *#hasAll(path: string, inode: Inode): Work<boolean> {
    for (const { name } of [...this.base.list(path)]) {
      const child = this.volume.lookup(this.view, inode, name);
      const at = joinPath(path, name);
      const found = this.base.lstat(at);
      if (found === undefined) continue;
      if (child === undefined || !(yield* this.isSame(at, found, child))) return false;
    }
    return true;
  }

  #hasSameXattrs(path: string, inode: Inode): boolean {
    const names = this.base.listxattr(path).sort();
    const own = this.volume.listAttributes(this.view, inode).sort();
    if (names.join('\0') !== own.join('\0')) return false;
    return names.every((name) => {
      const value = this.base.getxattr(path, name);
      const ownValue = this.volume.readAttribute(this.view, inode, name);
      return value !== undefined && ownValue !== undefined && !Buffer.compare(value, ownValue);
    });
  }

  *#hasSameBytes(path: string, found: BaseStat, inode: Inode): Work<boolean> {
    if (found.size !== inode.size) return false;
    const { volume } = this;
    const { waits } = volume.core;
    const [left, right] = [this.#left, this.#right];
    const reference = referenceTo(path, found);
    for (let at = 0; at < found.size; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, found.size - at);
      waits.patiently(() => {
        this.base.read(reference, at, length, left, 0, waits);
        volume.read(this.view, inode, at, length, right, 0);
      });
      if (left.compare(right, 0, length, 0, length) !== 0) return false;
      yield undefined;
    }
    return true;
  }
}
