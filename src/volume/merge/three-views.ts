/**
 * The three trees of a merge: the common state, ours and theirs. Files are
 * followed by their inode numbers. Where both sides have made the same thing,
 * or one side has put a new file into an old one's place, two numbers stand for
 * one file: its *counterpart* is found by its place.
 */
import { ROOT_INODE } from '../../format/records/tables.js';
import type { BlockSource } from '../files/block-map.js';
import { compareInodes, type DiffDetail } from '../diff/compare.js';
import type { Inode, LinkName } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

export type Side = 'base' | 'ours' | 'theirs';

const SIDES: readonly Side[] = ['base', 'ours', 'theirs'];

export class ThreeViews {
  readonly #counterparts = new Map<number, number>();

  constructor(
    readonly volume: ReadableVolume,
    readonly views: Readonly<Record<Side, View>>,
  ) {}

  /** Undefined: it is not there, or it has no name any more. */
  inode(side: Side, ino: number): Inode | undefined {
    const inode = this.#find(side, ino);
    return inode === undefined || inode.nlink === 0 ? undefined : inode;
  }

  /** A base file without a record in one view may have one in another that gives its path. */
  #find(side: Side, ino: number): Inode | undefined {
    const { volume, views } = this;
    const found = volume.inode(views[side], ino);
    if (found !== undefined || volume.base === undefined) return found;
    for (const other of SIDES) {
      const path = other === side ? undefined : volume.inode(views[other], ino)?.base?.path;
      if (path === undefined) continue;
      volume.inodes.rememberBase(ino, path);
      return volume.inode(views[side], ino);
    }
    return undefined;
  }

  /** What a name leads to; 0: nothing. */
  child(side: Side, directory: number, name: string): number {
    const inode = this.inode(side, directory);
    if (inode?.isDirectory !== true) return 0;
    return this.volume.directories.find(this.views[side], inode, name)?.ino ?? 0;
  }

  /** The names that the inode's record knows, or the one that it has in the base directory. */
  names(inode: Inode): readonly LinkName[] {
    if (inode.layer !== 0) return inode.links;
    const name = this.volume.inodes.nameInBase(inode);
    return name === undefined ? [] : [name];
  }

  path(side: Side, ino: number): string | undefined {
    return ino === ROOT_INODE ? '' : this.volume.paths.of(this.views[side], ino);
  }

  /** What differs between the inodes of two sides. */
  differences(from: Side, before: Inode, to: Side, after: Inode): DiffDetail[] {
    return compareInodes(this.volume, this.views[from], before, this.views[to], after);
  }

  sources(side: Side, inode: Inode, first: number, last: number): BlockSource[] {
    return this.volume.blocks.sources(this.views[side], inode, first, last);
  }

  /** The number that an inode of the common state, or of theirs, has on our side; 0: none. */
  counterpart(ino: number): number {
    let known = this.#counterparts.get(ino);
    if (known === undefined) {
      known = this.#counterpart(ino);
      this.#counterparts.set(ino, known);
    }
    return known;
  }

  #counterpart(ino: number): number {
    if (ino === ROOT_INODE || this.inode('ours', ino) !== undefined) return ino;
    const before = this.inode('base', ino);
    const inode = before ?? this.inode('theirs', ino);
    const [name] = inode === undefined ? [] : this.names(inode);
    if (inode === undefined || name === undefined) return 0;
    const parent = this.counterpart(name.parent);
    const found = parent === 0 ? 0 : this.child('ours', parent, name.name);
    const other = found === 0 ? undefined : this.inode('ours', found);
    if (other === undefined || other.mode >>> 12 !== inode.mode >>> 12) return 0;
    // Only what our side has made: another old file that was moved there is that file.
    if (this.inode('base', found) ?? this.inode('theirs', found)) return 0;
    if (inode.isDirectory || before !== undefined) return found;
    const details = this.differences('theirs', inode, 'ours', other);
    return details.every((detail) => detail === 'times') ? found : 0;
  }
}
