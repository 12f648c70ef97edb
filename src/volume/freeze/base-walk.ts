/**
 * Goes through everything that the base layer's view reads from the base:
 * directories from the top down, each left after its content. In pieces; memory
 * grows with the depth, and with the names of the directories on the way.
 */
import type { Work } from '../../lib/work.js';
import { ROOT_INODE } from '../../format/records/tables.js';
import type { Inode, LinkName } from '../inode.js';
import { joinPath } from '../names/inode-reader.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

export interface Met {
  inode: Inode;
  /** In the base. */
  path: string;
  /** Absent: the root. */
  link?: LinkName;
}

export interface Visitor {
  /** False: what is in it is not visited. */
  enter(directory: Met): Work<boolean>;
  file(file: Met): Work<void>;
  /** Everything in it was visited. */
  leave(directory: Met): Work<void>;
}

interface Level {
  directory: Met;
  names: { name: string; ino: number }[];
}

/** It has bytes, names or attributes that only the base has. */
export function isInBase({ base }: Inode): boolean {
  return base !== undefined && base.isStored !== true;
}

export class BaseWalk {
  constructor(
    readonly volume: ReadableVolume,
    readonly view: View,
    readonly visitor: Visitor,
  ) {}

  *run(): Work<void> {
    const root = this.volume.inode(this.view, ROOT_INODE);
    if (root !== undefined && isInBase(root)) yield* this.below({ inode: root, path: '' });
  }

  /** A directory, with everything in it. */
  *below(top: Met): Work<void> {
    const levels: Level[] = [];
    if (yield* this.visitor.enter(top)) levels.push(this.#level(top));
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const next = level.names.pop();
      if (next === undefined) {
        yield* this.visitor.leave(level.directory);
        levels.pop();
        continue;
      }
      yield undefined;
      const met = this.#met(level.directory, next.name, next.ino);
      if (met === undefined) continue;
      if (!met.inode.isDirectory) yield* this.visitor.file(met);
      else if (yield* this.visitor.enter(met)) levels.push(this.#level(met));
    }
  }

  #level(directory: Met): Level {
    const names: Level['names'] = [];
    this.volume.list(this.view, directory.inode, 0, (name, ino) => names.push({ name, ino }) > 0);
    return { directory, names: names.reverse() };
  }

  /** Undefined: it is not there any more, or the base has nothing of it. */
  #met({ inode: directory }: Met, name: string, ino: number): Met | undefined {
    const { volume, view } = this;
    const { basePaths } = volume.core;
    const wasKnown = basePaths.has(ino);
    const inode = volume.inodeForListing(view, directory, name, ino);
    // Whoever serves the tree knows the files that programs have asked for; no others stay.
    if (!wasKnown) basePaths.delete(ino);
    if (inode === undefined || !isInBase(inode)) return undefined;
    const path = inode.base?.path ?? joinPath(directory.base?.path ?? '', name);
    return { inode, path, link: { parent: directory.ino, name } };
  }
}
