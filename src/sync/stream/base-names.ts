/**
 * Which names base files have gained and lost between two views, and where
 * those files lie: their records don't list their names, and a base file that
 * was never changed has no record but its path.
 *
 * A directory that only one of the views has (removed with everything in it, or
 * back after a restore) may have no changed names of its own: its content went
 * with it, and the collector removes what was stored about that. So it is
 * walked in the view that has it, which costs as much as was removed or came
 * back.
 */
import { CommandError } from '../../lib/errors.js';
import { entryNameOf, inodeOf } from '../../format/records/keys.js';
import { isBaseNumber } from '../../format/records/tables.js';
import type { FoundEntry } from '../../volume/names/directories.js';
import { DIRECTORY_TYPE } from '../../lib/file-mode.js';
import type { Inode, LinkName } from '../../volume/inode.js';
import type { MergedKeys } from '../../volume/diff/merged-keys.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import type { View } from '../../volume/view.js';
import { names } from './plan-records.js';

/** Names that one base file may gain and lose between two snapshots. */
const MAX_NAMES_CHANGED = 60;

export interface NamesChanged {
  added: LinkName[];
  removed: LinkName[];
}

type Change = keyof NamesChanged;

export class BaseNames {
  readonly #changed = new Map<number, NamesChanged>();
  /** Directories whose names are all noted, as added or as removed. */
  readonly #walked = { added: new Set<number>(), removed: new Set<number>() };

  constructor(
    readonly volume: ReadableVolume,
    readonly from: View,
    readonly to: View,
  ) {}

  of(ino: number): NamesChanged {
    return this.#changed.get(ino) ?? { added: [], removed: [] };
  }

  /** `places`: the places of the changed names. Costs two passes over them. */
  collect(places: () => MergedKeys): void {
    // Paths first: a name may be noted only once the file behind it can be found.
    this.#eachChange(places(), (change, _parent, _name, entry) => {
      if (entry.type === DIRECTORY_TYPE) this.#walk(change, entry.ino);
    });
    this.#eachChange(places(), (change, parent, name, { ino }) => {
      if (!this.#walked[change].has(parent)) this.#note(ino, change, { parent, name });
    });
  }

  #eachChange(
    places: MergedKeys,
    visit: (change: Change, parent: number, name: string, entry: FoundEntry) => void,
  ): void {
    const { volume, from, to } = this;
    for (let place = places.take(); place !== undefined; place = places.take()) {
      const parent = inodeOf(place);
      const name = entryNameOf(place);
      const { before, after } = pairOf(volume, from, to, parent);
      const old = before && shown(volume.directories.find(from, before, name));
      const now = after && shown(volume.directories.find(to, after, name));
      if (old?.ino === now?.ino) continue;
      if (old !== undefined) visit('removed', parent, name, old);
      if (now !== undefined) visit('added', parent, name, now);
    }
  }

  /** Notes paths and names of everything below a directory that only one view has. */
  #walk(change: Change, top: number): void {
    const { volume } = this;
    const [view, other] = change === 'added' ? [this.to, this.from] : [this.from, this.to];
    const left = [top];
    for (let ino = left.pop(); ino !== undefined; ino = left.pop()) {
      const directory = alive(volume.inode(view, ino));
      const isOnlyHere = pairOf(volume, view, other, ino).after === undefined;
      if (directory === undefined || !isOnlyHere || this.#walked[change].has(ino)) continue;
      this.#walked[change].add(ino);
      for (const { name, ino: child, type } of names(volume, view, directory)) {
        if (type !== DIRECTORY_TYPE && !isBaseNumber(child)) continue;
        const inode = alive(volume.inodeForListing(view, directory, name, child));
        if (inode === undefined) continue;
        if (type === DIRECTORY_TYPE) left.push(child);
        this.#note(child, change, { parent: ino, name });
      }
    }
  }

  #note(ino: number, change: Change, link: LinkName): void {
    const { volume, to } = this;
    const after = alive(volume.inode(to, ino));
    if (after?.base === undefined) return;
    let changed = this.#changed.get(ino);
    if (changed === undefined) {
      changed = { added: [], removed: [] };
      this.#changed.set(ino, changed);
    }
    changed[change].push(link);
    if (changed[change].length <= MAX_NAMES_CHANGED) return;
    throw new CommandError(
      'too-many-names',
      'EMLINK',
      `base file ${after.base.path} has gained or lost more than ${MAX_NAMES_CHANGED} names; ` +
        'send the snapshot in full',
    );
  }
}

export interface Pair {
  before: Inode | undefined;
  after: Inode | undefined;
}

/** An inode in both views, as far as it exists there. */
export function pairOf(volume: ReadableVolume, from: View, to: View, ino: number): Pair {
  // Either record may be the one that tells the base file's path.
  const after = volume.inode(to, ino);
  const before = volume.inode(from, ino);
  return { before: alive(before), after: alive(after ?? volume.inode(to, ino)) };
}

/** An inode without a name does not exist in the view. */
function alive(inode: Inode | undefined): Inode | undefined {
  return inode === undefined || inode.nlink === 0 ? undefined : inode;
}

export function shown(entry: FoundEntry | undefined): FoundEntry | undefined {
  return entry === undefined || entry.ino === 0 ? undefined : entry;
}
