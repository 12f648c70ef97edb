/**
 * Checks names in one view, in both directions. Each entry leads to an inode
 * that lists the name. Each name in an inode record has an entry. Nothing in
 * the older view was lost. Directories form a tree.
 *
 * Names and link counts are exact for everything that has no base. A base file
 * may have more names on the host, outside the base directory: there the count
 * is a bound, and the base directory is read only where a record refers to it.
 */
import { hasBase } from '../volume/catalog.js';
import {
  deltaPrefix,
  entryKey,
  entryNameOf,
  inodeOf,
  inodePlace,
  layerOf,
  placeOf,
  prefixEnd,
} from '../format/records/keys.js';
import { nameHash } from '../format/records/name-hash.js';
import { BASE_LAYER, isBaseNumber, ROOT_INODE, TABLE } from '../format/records/tables.js';
import { decodeEntry, type EntryValue } from '../format/records/values.js';
import type { Work } from '../lib/work.js';
import type { TableReader } from '../store/reader.js';
import { type CheckState, shownBytes } from './report.js';
import { DIRECTORY_TYPE } from '../lib/file-mode.js';
import type { Inode, LinkName } from '../volume/inode.js';
import { gapsOfLayers, type InodeGaps } from '../volume/names/inode-gaps.js';
import type { ReadableVolume } from '../volume/readable-volume.js';
import type { View } from '../volume/view.js';

/** Deeper than any path Linux allows. */
const MAX_DEPTH = 4096;
/** With at most this many layers below, they are searched for names before single lookups. */
const BARE_LAYERS = 8;
/** Names checked without a pause. */
const LOOKED_AT_ONCE = 256;

type StoredEntry = EntryValue & { layer: number };

/** A name visible in the view. */
export interface SeenName {
  place: Buffer;
  directory: number;
  name: string;
  entry: StoredEntry;
}

/** True when no name was made or removed in the layer. */
function hasNoNames(reader: TableReader, layer: number): boolean {
  const prefix = deltaPrefix(layer, TABLE.entries);
  return reader.seek(TABLE.delta, prefix, prefixEnd(prefix)) === undefined;
}

function hasName(inode: Inode | undefined, parent: number, name: string): boolean {
  return inode?.links.some((link) => link.parent === parent && link.name === name) ?? false;
}

export class NameCheck {
  /** Directory → number of subdirectories it gained since the older view. */
  readonly #subdirectories = new Map<number, number>();
  /** Files with more links than names in their record: counted in one pass. */
  readonly #uncounted = new Map<number, Inode>();
  /** Directories from which the root was reached. */
  readonly #rooted = new Set<number>([ROOT_INODE]);
  /** Directories of the older view that are gone. */
  readonly #removed: number[] = [];
  #looked = 0;
  readonly #hasBase: boolean;
  /** The older view has no names, so none needs a lookup. */
  readonly #olderIsBare: boolean;
  /** Inode numbers the older view does not have, if that is cheap to know. */
  readonly #notInOlder: InodeGaps | undefined;
  /** Names in the records of the checked inodes. */
  #links = 0;
  /** Those of them that an entry has led to. */
  #knownLinks = 0;

  constructor(
    readonly volume: ReadableVolume,
    readonly state: CheckState,
    readonly view: View,
    /** The nearest checked view below, or undefined. */
    readonly older: View | undefined,
    /** The layers compared with it. */
    readonly layers: ReadonlySet<number>,
    /** Describes an inode, or a name in a directory, for a finding. */
    readonly where: (ino: number, name?: string) => string,
  ) {
    this.#hasBase = hasBase(volume.store);
    const { store: reader, base } = volume;
    const path = older === undefined ? [] : volume.layers.path(older.top);
    const isShort = path.length <= BARE_LAYERS;
    this.#olderIsBare = isShort && path.every((layer) => hasNoNames(reader, layer));
    if (isShort && base === undefined) {
      this.#notInOlder = gapsOfLayers(reader, path, view.fileset);
    }
  }

  /**
   * True when each entry leads to a different name in a record: then the counts
   * are equal, and every name has its entry.
   */
  get everyLinkIsKnown(): boolean {
    return this.#links === this.#knownLinks;
  }

  /** The stored entry of a visible name; whiteouts have number 0. */
  #stored(view: View, directory: number, name: string): StoredEntry | undefined {
    const key = entryKey(view.fileset, directory, nameHash(name), name, 0);
    const found = this.volume.newest(TABLE.entries, placeOf(TABLE.entries, key), view);
    if (found === undefined) return undefined;
    return { ...decodeEntry(found.value, () => 'entry'), layer: found.layer };
  }

  /** A name written in a layer, if this layer's version is the visible one. */
  seen(layer: number, place: Buffer): SeenName | undefined {
    const directory = inodeOf(place);
    const name = entryNameOf(place);
    const entry = this.#stored(this.view, directory, name);
    return entry?.layer === layer ? { place, directory, name, entry } : undefined;
  }

  entry({ directory, name, entry }: SeenName): void {
    this.state.counted.names++;
    // A removed directory takes its names with it.
    const parent = this.volume.inode(this.view, directory);
    if (parent === undefined) return;
    const problem = this.#entryProblem(parent, name, entry);
    if (problem !== undefined) this.state.add('V1', problem, this.where(directory, name));
    if (!entry.fresh || entry.layer !== this.view.top) return;
    const below = this.#before(directory, name);
    // An apply puts there what others had made in the base under that name since.
    if (below !== undefined && below.ino !== 0 && below.layer !== BASE_LAYER) {
      this.state.add('F2', 'a name that is not new is called new', this.where(directory, name));
    }
  }

  /** The inode in the older view. */
  #older(ino: number): Inode | undefined {
    if (this.older === undefined || this.#notInOlder?.has(ino) === true) return undefined;
    return this.volume.inode(this.older, ino);
  }

  #before(directory: number, name: string): StoredEntry | undefined {
    if (this.older === undefined || this.#olderIsBare) return undefined;
    return this.#stored(this.older, directory, name);
  }

  #entryProblem(parent: Inode, name: string, entry: StoredEntry): string | undefined {
    if (!parent.isDirectory) return 'the parent is not a directory';
    this.#noteSubdirectory(parent.ino, name, entry);
    if (entry.ino === 0) return undefined;
    if (parent.nlink === 0) return 'a removed directory has a name';
    const child = this.volume.inode(this.view, entry.ino);
    if (child === undefined) return `the inode ${entry.ino} does not exist`;
    if (child.mode >>> 12 !== entry.type) {
      return `the type is ${entry.type} here and ${child.mode >>> 12} in the inode`;
    }
    if (child.nlink === 0) return `the inode ${entry.ino} counts no links`;
    if (child.isDirectory) this.#climb(child);
    if (hasName(child, parent.ino, name)) {
      if (this.layers.has(child.layer)) this.#knownLinks++;
      return undefined;
    }
    if (child.isDirectory || child.nlink <= child.links.length) {
      return `the inode ${entry.ino} does not know this name`;
    }
    this.#uncounted.set(child.ino, child);
    return undefined;
  }

  #noteSubdirectory(parent: number, name: string, entry: StoredEntry): void {
    // When a directory was removed and made again, its earlier content does not count.
    const wasThere = this.#older(parent) !== undefined;
    const before = wasThere ? this.#before(parent, name) : undefined;
    const isDirectory = (e: StoredEntry | undefined): number =>
      Number(e !== undefined && e.ino !== 0 && e.type === DIRECTORY_TYPE);
    const change = isDirectory(entry) - isDirectory(before);
    if (change === 0) return;
    this.#subdirectories.set(parent, (this.#subdirectories.get(parent) ?? 0) + change);
  }

  /** Walks from a directory to the root. A missing parent is reported elsewhere. */
  #climb(directory: Inode): void {
    const way = new Set<number>();
    let at: Inode | undefined = directory;
    while (at !== undefined && !this.#rooted.has(at.ino)) {
      if (way.has(at.ino) || way.size > MAX_DEPTH) {
        this.state.add('V1', 'the directories form a loop', this.where(at.ino));
        break;
      }
      way.add(at.ino);
      const link: LinkName | undefined = at.links[0];
      at = link === undefined ? undefined : this.volume.inode(this.view, link.parent);
    }
    for (const ino of way) this.#rooted.add(ino);
  }

  /** An inode whose record is new in the view; undefined: it is gone. Call it after all entries. */
  inode(ino: number, inode: Inode | undefined): void {
    const before = this.#older(ino);
    if (inode !== undefined) {
      this.#links += inode.links.length;
      const count = inode.isDirectory
        ? this.#directoryProblem(inode, before)
        : this.#countProblem(inode);
      if (count !== undefined) this.state.add('V1', count, this.where(ino));
    }
    if (before !== undefined) this.#oldNames(before, inode);
  }

  /** Checks each name in a record. */
  links(inode: Inode): void {
    for (const link of inode.links) {
      const problem = this.#linkProblem(inode, link);
      if (problem === undefined) continue;
      const what = `the name ${shownBytes(link.name)} in directory ${link.parent} ${problem}`;
      this.state.add('V1', what, this.where(inode.ino));
    }
  }

  #countProblem(inode: Inode): string | undefined {
    const { links, nlink } = inode;
    const names = new Set(links.map(({ parent, name }) => `${parent}/${name}`)).size;
    if (names !== links.length) return 'a name is in the record twice';
    if (nlink < names) return `it counts ${nlink} links and has ${names} names`;
    if (nlink > names && inode.base === undefined) this.#uncounted.set(inode.ino, inode);
    return undefined;
  }

  /**
   * A directory has one name and 2 + subdirectories links. The link count of a
   * base directory is the host's.
   */
  #directoryProblem(inode: Inode, before: Inode | undefined): string | undefined {
    if (inode.base !== undefined) return undefined;
    const names = inode.ino === ROOT_INODE || inode.nlink === 0 ? 0 : 1;
    if (inode.links.length !== names) return `a directory has ${inode.links.length} names`;
    if (inode.nlink === 0) return undefined;
    const expected = (before?.nlink ?? 2) + (this.#subdirectories.get(inode.ino) ?? 0);
    if (inode.nlink === expected) return undefined;
    return `it counts ${inode.nlink} links instead of ${expected}`;
  }

  #linkProblem(inode: Inode, { parent, name }: LinkName): string | undefined {
    if (parent === inode.ino) return 'is in itself';
    const directory = this.#parentOf(inode, parent);
    if (directory === 'unknown') return undefined;
    if (directory === undefined) return 'lies in a directory that does not exist';
    if (!directory.isDirectory) return 'lies in a file that is not a directory';
    if (directory.nlink === 0) return 'lies in a removed directory';
    const entry = this.#stored(this.view, parent, name);
    if (entry !== undefined) {
      if (entry.ino === inode.ino) return undefined;
      return entry.ino === 0 ? 'was removed' : `is inode ${entry.ino}`;
    }
    if (directory.base === undefined) return 'does not exist';
    if (this.volume.base === undefined) return undefined;
    if (this.volume.directories.find(this.view, directory, name)?.ino !== inode.ino) {
      const what = `the base no longer has ${shownBytes(name)} in directory ${parent}`;
      this.state.add('D10', what, this.where(inode.ino), 'base');
    }
    return undefined;
  }

  /**
   * The parent that a name of `inode` lies in. An untouched base directory is
   * found by the inode's own base path; 'unknown' when the base directory is
   * not available.
   */
  #parentOf(inode: Inode, parent: number): Inode | 'unknown' | undefined {
    const { base, inodes } = this.volume;
    const known = inodes.get(this.view, parent);
    if (known !== undefined) return known;
    const hasRecord =
      this.volume.newest(TABLE.inodes, inodePlace(this.view.fileset, parent), this.view) !==
      undefined;
    if (hasRecord || !this.#hasBase || !isBaseNumber(parent)) return undefined;
    if (base === undefined || inode.base === undefined) return 'unknown';
    const cut = inode.base.path.lastIndexOf('/');
    inodes.rememberBase(parent, cut < 0 ? '' : inode.base.path.slice(0, cut));
    return inodes.get(this.view, parent) ?? 'unknown';
  }

  /** Names in the older view that the record no longer lists must not lead to the inode. */
  #oldNames(before: Inode, inode: Inode | undefined): void {
    const isListed = inode === undefined || inode.nlink <= inode.links.length;
    for (const { parent, name } of isListed ? before.links : []) {
      if (hasName(inode, parent, name)) continue;
      if (this.volume.inode(this.view, parent) === undefined) continue;
      if (this.#stored(this.view, parent, name)?.ino !== before.ino) continue;
      const what = inode === undefined ? 'does not exist' : 'does not know this name';
      this.state.add('V1', `the inode ${before.ino} ${what}`, this.where(parent, name));
    }
    if (before.isDirectory && (inode?.nlink ?? 0) === 0) this.#removed.push(before.ino);
  }

  /** After directories were removed: no inode may have its only name in one of them. */
  *#lostNames(older: View): Work<void> {
    for (const directory of this.#removed) {
      const prefix = inodePlace(older.fileset, directory);
      for (const { name, entry } of this.#entriesIn(older, prefix, prefixEnd(prefix))) {
        if (++this.#looked % LOOKED_AT_ONCE === 0) yield undefined;
        const { ino } = entry;
        if (ino === 0 || !hasName(this.volume.inode(this.view, ino), directory, name)) continue;
        const what = `the name ${shownBytes(name)} lies in the removed directory ${directory}`;
        this.state.add('V1', what, this.where(ino));
      }
    }
  }

  /** The newest visible version of every name in a range of the table. */
  *#entriesIn(
    view: View,
    start: Buffer,
    end: Buffer,
  ): Generator<{ directory: number; name: string; entry: EntryValue }> {
    let last: Buffer | undefined;
    for (const { key, value } of this.volume.store.range(TABLE.entries, start, end)) {
      const place = placeOf(TABLE.entries, key);
      if (last?.equals(place) || !view.includes(layerOf(TABLE.entries, key))) continue;
      last = place;
      const entry = decodeEntry(value, () => 'entry');
      yield { directory: inodeOf(place), name: entryNameOf(place), entry };
    }
  }

  /**
   * Call at the end. Checks the content of removed directories, and in one pass
   * the files with more links than names in their record.
   */
  *finish(): Work<void> {
    if (this.older !== undefined) yield* this.#lostNames(this.older);
    if (this.#uncounted.size === 0) return;
    const { view } = this;
    const counts = new Map<number, number>();
    const start = inodePlace(view.fileset, 0);
    const end = inodePlace(view.fileset + 1, 0);
    for (const { directory, entry } of this.#entriesIn(view, start, end)) {
      if (++this.#looked % LOOKED_AT_ONCE === 0) yield undefined;
      const { ino } = entry;
      if (!this.#uncounted.has(ino) || this.volume.inode(view, directory) === undefined) continue;
      counts.set(ino, (counts.get(ino) ?? 0) + 1);
    }
    for (const [ino, inode] of this.#uncounted) {
      const count = counts.get(ino) ?? 0;
      if (inode.base === undefined ? count === inode.nlink : count <= inode.nlink) continue;
      this.state.add(
        'V1',
        `it counts ${inode.nlink} links and has ${count} names`,
        this.where(ino),
      );
    }
  }
}
