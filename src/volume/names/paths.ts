/** From an inode back to a path, in a view. Byte strings; '' is the root. */
import { ROOT_INODE } from '../../format/records/tables.js';
import type { VolumeCore } from '../core.js';
import type { Inodes } from './inode-reader.js';
import { joinPath } from './inode-reader.js';
import type { View } from '../view.js';

/** Deeper than any path Linux allows: a longer way up is a loop. */
const MAX_DEPTH = 4096;

export class Paths {
  constructor(
    readonly core: VolumeCore,
    readonly inodes: Inodes,
  ) {}

  /** One path of the inode; undefined when it has none in this view. */
  of(view: View, ino: number): string | undefined {
    return this.all(view, ino)[0];
  }

  /** Every path known from the inode's record (or the base directory). */
  all(view: View, ino: number): string[] {
    if (ino === ROOT_INODE) return [''];
    const inode = this.inodes.get(view, ino);
    if (inode === undefined) return [];
    if (inode.layer === 0) {
      const path = this.#ofBasePath(view, inode.base?.path ?? '');
      return path === undefined ? [] : [path];
    }
    const paths: string[] = [];
    for (const link of inode.links) {
      const parent = this.#ofDirectory(view, link.parent, 0);
      if (parent !== undefined) paths.push(joinPath(parent, link.name));
    }
    return paths;
  }

  #ofDirectory(view: View, ino: number, depth: number): string | undefined {
    if (ino === ROOT_INODE) return '';
    if (depth > MAX_DEPTH) return undefined;
    const inode = this.inodes.get(view, ino);
    if (inode === undefined || !inode.isDirectory) return undefined;
    if (inode.layer === 0) return this.#ofBasePath(view, inode.base?.path ?? '');
    const link = inode.links[0];
    if (link === undefined) return undefined;
    const parent = this.#ofDirectory(view, link.parent, depth + 1);
    return parent === undefined ? undefined : joinPath(parent, link.name);
  }

  /** An untouched base file lies where its directory is now (rule D11). */
  #ofBasePath(view: View, basePath: string): string | undefined {
    if (basePath === '') return '';
    const cut = basePath.lastIndexOf('/');
    const parentPath = cut < 0 ? '' : basePath.slice(0, cut);
    const name = basePath.slice(cut + 1);
    if (parentPath === '') return name;
    const stat = this.core.base?.lstat(parentPath);
    if (stat === undefined) return undefined;
    const parent = this.#ofDirectory(view, this.inodes.ofBase(parentPath, stat), 0);
    return parent === undefined ? undefined : joinPath(parent, name);
  }
}
