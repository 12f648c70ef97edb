/**
 * The plan of a full stream: everything a view shows, directory by directory
 * from the root, the base included (rule D14). Each directory comes before its
 * content.
 *
 * What must hold: names and link counts are those of the tree that is sent. A
 * base file may have names elsewhere on the host, which don't count here.
 * Memory grows with the depth of the tree and with the files that have several
 * names, not with the number of files.
 */
import { MAX_LINK_NAMES, ROOT_INODE } from '../../format/records/tables.js';
import { DIRECTORY_TYPE } from '../../lib/file-mode.js';
import type { Inode, LinkName } from '../../volume/inode.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import type { View } from '../../volume/view.js';
import {
  Contents,
  hasData,
  inodeRecord,
  type Listed,
  names,
  type PlannedRecord,
} from './plan-records.js';

interface Linked {
  inode: Inode;
  links: LinkName[];
  count: number;
}

interface Level {
  directory: Inode;
  /** Content of the directory that has not been visited. */
  left: Generator<Listed>;
}

export class FullPlan {
  /** Base files with several names: sent at the end, when all names are known. */
  readonly #linked = new Map<number, Linked>();
  readonly #told = new Set<number>();
  readonly #contents: Contents;

  constructor(
    readonly volume: ReadableVolume,
    readonly view: View,
    isEstimate = false,
  ) {
    this.#contents = new Contents(volume, view, isEstimate);
  }

  *records(): Generator<PlannedRecord> {
    const { volume, view } = this;
    const root = volume.inode(view, ROOT_INODE);
    if (root === undefined) return;
    yield* this.#directory(root, []);
    const levels: Level[] = [{ directory: root, left: names(volume, view, root, true) }];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const { value: listed } = level.left.next();
      if (!listed) {
        levels.pop();
        volume.forgetPath(level.directory.ino);
        continue;
      }
      const { name, ino } = listed;
      const inode = volume.inodeForListing(view, level.directory, name, ino);
      if (inode === undefined || inode.nlink === 0) continue;
      const link = { parent: level.directory.ino, name };
      if (inode.isDirectory) {
        yield* this.#directory(inode, [link]);
        levels.push({ directory: inode, left: names(volume, view, inode, true) });
      } else {
        yield* this.#file(inode, link);
      }
    }
    for (const ino of [...this.#linked.keys()].sort((a, b) => a - b)) {
      const { inode, links, count } = this.#linked.get(ino) as Linked;
      if (inode.base !== undefined) volume.inodes.rememberBase(ino, inode.base.path);
      yield* this.#inode(inode, links, count);
    }
  }

  *#directory(directory: Inode, links: LinkName[]): Generator<PlannedRecord> {
    yield* this.#inode(directory, links, 2);
    for (const listed of names(this.volume, this.view, directory)) {
      // A base name that has gone since has no inode.
      if (directory.base !== undefined && !this.#isThere(directory, listed)) continue;
      yield { kind: 'entry', ...listed };
    }
  }

  #isThere(directory: Inode, { name, ino, type }: Listed): boolean {
    const inode = this.volume.inodeForListing(this.view, directory, name, ino);
    if (type !== DIRECTORY_TYPE) this.volume.forgetPath(ino);
    return inode !== undefined && inode.nlink > 0;
  }

  *#file(inode: Inode, link: LinkName): Generator<PlannedRecord> {
    const { base, ino } = inode;
    if (base !== undefined && inode.nlink > 1) {
      const known = this.#linked.get(ino);
      if (known === undefined) this.#linked.set(ino, { inode, links: [link], count: 1 });
      else {
        known.count++;
        if (known.links.length < MAX_LINK_NAMES) known.links.push(link);
      }
    } else if (inode.nlink > 1) {
      if (this.#told.has(ino)) return;
      this.#told.add(ino);
      yield* this.#inode(inode, inode.links, inode.nlink);
    } else {
      yield* this.#inode(inode, [link], 1);
    }
    this.volume.forgetPath(ino);
  }

  *#inode(inode: Inode, links: readonly LinkName[], nlink: number): Generator<PlannedRecord> {
    const parts = { isNew: true, hasData: hasData(inode), nlink, links };
    yield inodeRecord(this.volume, inode, parts);
    yield* this.#contents.attributes(inode);
    if (parts.hasData) yield* this.#contents.blocks(inode);
  }
}
