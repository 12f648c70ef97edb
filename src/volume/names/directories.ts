/**
 * Names: lookup, listing in hash order (rule D15), adding and removing. A
 * directory's content is the merge of the pending changes in memory, LMDB and,
 * for a base-backed directory, the base directory.
 */
import { CorruptionError, FsError } from '../../lib/errors.js';
import { uint64At } from '../../format/big-endian.js';
import {
  afterKey,
  directoryPrefix,
  ENTRY_NAME_AT,
  entryKey,
  PLACE_INODE_LENGTH,
  placeOf,
  prefixEnd,
} from '../../format/records/keys.js';
import { LAST_HASH, nameHash } from '../../format/records/name-hash.js';
import { TABLE, VERSION_LENGTH } from '../../format/records/tables.js';
import { decodeEntry } from '../../format/records/values.js';
import type { BaseDirectory, BaseName } from '../../base/base-directory.js';
import type { RecordView } from '../../store/env.js';
import type { TableReader } from '../../store/reader.js';
import type { Seat } from '../branches/branch.js';
import type { VolumeCore } from '../core.js';
import { type Inodes, joinPath } from './inode-reader.js';
import { S_IFMT } from '../../lib/file-mode.js';
import type { Inode } from '../inode.js';
import { firstAtOrAfter } from '../commit/txg.js';
import { visitStored } from '../newest.js';
import type { View } from '../view.js';

/** What a directory entry says about a name, without reading the inode. */
export interface FoundEntry {
  /** 0: a whiteout. */
  ino: number;
  type: number;
  fresh: boolean;
  /** Layer of the entry; 0 for a name of the base directory. */
  layer: number;
}

/** One source of a listing: yields names in (hash, name) order. */
type NameSource = () => SourceName | undefined;

/** A name of the base gets its number only when no record hides it: the number may be a new one. */
interface SourceName extends ListedName {
  number?: () => number;
}

/** Size that one entry record is counted with, besides its name. */
const ENTRY_RECORD_BYTES = 64;

export class Directories {
  constructor(
    readonly core: VolumeCore,
    readonly seat: Seat,
    readonly inodes: Inodes,
  ) {
    inodes.onFirstRecord((inode) => this.#keepName(inode));
  }

  /**
   * The live tree's name of a base file that is changed for the first time becomes the volume's own,
   * and so do the names of the directories above it: others may remove the file from the base, or
   * put another one there, and what was changed in the mount stays (rule F12).
   */
  #keepName({ ino, links, mode }: Inode): void {
    const [link] = links;
    if (link === undefined) return;
    const directory = this.inodes.get(this.seat.live, link.parent);
    if (directory === undefined) return;
    const found = this.find(this.seat.live, directory, link.name);
    // It may be the volume's own already, or gone.
    if (found?.layer !== 0 || found.ino !== ino) return;
    this.inodes.forChange(link.parent);
    this.put(link.parent, link.name, ino, (mode & S_IFMT) >> 12, found);
  }

  /** The entry of a name in a view, whiteouts included; undefined: none at all. */
  find(view: View, directory: Inode, name: string): FoundEntry | undefined {
    for (const changes of this.core.pendingChanges(view)) {
      const entry = changes.directories.get(directory.ino)?.get(name);
      if (entry !== undefined) {
        if (entry.ino === 0 && entry.fresh) return undefined;
        return { ino: entry.ino, type: entry.type, fresh: entry.fresh, layer: changes.layer };
      }
    }
    if (!this.core.isInMemoryOnly(directory.ino)) {
      const stored = this.#stored(view, directory.ino, name);
      if (stored !== undefined) return stored;
    }
    return this.#inBase(directory, name);
  }

  #stored(view: View, directory: number, name: string): FoundEntry | undefined {
    const key = entryKey(view.fileset, directory, nameHash(name), name, 0);
    const found = this.core.newest(TABLE.entries, placeOf(TABLE.entries, key), view);
    if (found === undefined) return undefined;
    const entry = decodeEntry(found.value, () => `name ${name} of directory ${directory}`);
    return { ...entry, layer: found.layer };
  }

  #inBase(directory: Inode, name: string): FoundEntry | undefined {
    if (directory.base === undefined || directory.base.isStored) return undefined;
    if (this.core.base === undefined) return undefined;
    const path = joinPath(directory.base.path, name);
    const stat = this.core.base.lstat(path);
    if (stat === undefined) return undefined;
    const ino = this.inodes.ofBase(path, stat);
    return { ino, type: (stat.mode & S_IFMT) >> 12, fresh: false, layer: 0 };
  }

  lookup(view: View, directory: Inode, name: string): Inode | undefined {
    const entry = this.find(view, directory, name);
    if (entry === undefined || entry.ino === 0) return undefined;
    return this.inodes.get(view, entry.ino);
  }

  /**
   * Visits the names with hash > `afterHash` in (hash, name) order until
   * `visit` returns false. `withInodes`: the caller will ask for their inodes.
   */
  list(
    view: View,
    directory: Inode,
    afterHash: number,
    visit: (name: string, ino: number, type: number, hash: number) => boolean,
    withInodes = false,
  ): void {
    if (afterHash >= LAST_HASH) return;
    const sources = this.#sources(view, directory, afterHash + 1, withInodes);
    if (sources.length === 1) {
      const next = sources[0] as NameSource;
      for (let found = next(); found !== undefined; found = next()) {
        const ino = found.number?.() ?? found.ino;
        if (ino !== 0 && !visit(found.name, ino, found.type, found.hash)) return;
      }
      return;
    }
    const heads = sources.map((next) => next());
    for (;;) {
      let first: SourceName | undefined;
      for (const head of heads) {
        if (head !== undefined && (first === undefined || precedes(head, first))) first = head;
      }
      if (first === undefined) return;
      for (const [i, head] of heads.entries()) {
        if (head !== undefined && head.hash === first.hash && head.name === first.name) {
          heads[i] = (sources[i] as NameSource)();
        }
      }
      const ino = first.number?.() ?? first.ino;
      if (ino !== 0 && !visit(first.name, ino, first.type, first.hash)) return;
    }
  }

  /** Newest first, so that of equal names the first source's counts. */
  #sources(view: View, directory: Inode, fromHash: number, withInodes: boolean): NameSource[] {
    const sources: NameSource[] = [];
    for (const changes of this.core.pendingChanges(view)) {
      const names = changes.directories.get(directory.ino)?.ordered();
      if (names === undefined) continue;
      let i = firstAtOrAfter(names, fromHash, '');
      sources.push(() => names[i++]);
    }
    if (!this.core.isInMemoryOnly(directory.ino)) {
      const onBatch = withInodes
        ? (names: readonly ListedName[]): void => this.inodes.prefetch(view, names)
        : undefined;
      const names = new StoredNames(this.core.reader, view, directory.ino, fromHash, onBatch);
      sources.push(() => names.next());
    }
    const { base } = directory;
    if (base !== undefined && !base.isStored) sources.push(this.#baseNames(base.path, fromHash));
    return sources;
  }

  #baseNames(path: string, fromHash: number): NameSource {
    const base = this.core.base;
    if (base === undefined) return () => undefined;
    const names = namesIn(base, path);
    let i = firstAtOrAfter(names, fromHash, '');
    return () => {
      const name = names[i++];
      if (name === undefined) return undefined;
      const device = base.rootStat.device;
      const ino = this.inodes.baseIds.derived({ device, hostInode: name.hostInode });
      const found = { hash: name.hash, name: name.name, ino: ino ?? 0, type: name.type };
      if (ino !== undefined) return found;
      const number = (): number => {
        const childPath = joinPath(path, name.name);
        const stat = base.lstat(childPath);
        return stat === undefined ? 0 : this.inodes.ofBase(childPath, stat);
      };
      return { ...found, number };
    };
  }

  isEmpty(view: View, directory: Inode): boolean {
    let empty = true;
    this.list(view, directory, 0, () => {
      empty = false;
      return false;
    });
    return empty;
  }

  /**
   * Adds a name to the open layer. `below` is the earlier result of `find`. The
   * caller has checked that the name is free or is to be replaced.
   */
  put(
    directory: number,
    name: string,
    ino: number,
    type: number,
    below: FoundEntry | undefined,
  ): void {
    this.core.admit(1, ENTRY_RECORD_BYTES + name.length);
    const changes = this.seat.changes();
    const fresh = below === undefined || (below.fresh && below.layer === changes.layer);
    changes.directory(directory).set(name, ino, type, fresh);
    changes.since?.name(directory, name);
    this.core.open.note(ENTRY_RECORD_BYTES + name.length);
  }

  /** Removes a name: deletes the entry if it was fresh in this layer, else writes a whiteout. */
  take(directory: number, name: string, below: FoundEntry): void {
    const changes = this.seat.changes();
    const fresh = below.fresh && below.layer === changes.layer;
    changes.directory(directory).set(name, 0, 0, fresh);
    changes.since?.name(directory, name);
    this.core.open.note(ENTRY_RECORD_BYTES + name.length);
  }

  /** The live directory by number, for a change. Throws ENOTDIR, ESTALE. */
  require(ino: number): Inode {
    const directory = this.inodes.get(this.seat.live, ino);
    if (directory === undefined || (directory.nlink === 0 && directory.isDirectory)) {
      throw new FsError('ENOENT', 'directory', String(ino));
    }
    if (!directory.isDirectory) throw new FsError('ENOTDIR', 'directory', String(ino));
    return directory;
  }
}

function precedes(a: ListedName, b: ListedName): boolean {
  return a.hash < b.hash || (a.hash === b.hash && a.name < b.name);
}

export interface ListedName {
  hash: number;
  name: string;
  /** 0: a whiteout, which hides what lies below. */
  ino: number;
  type: number;
}

/** Most directories fit into the first batch. */
const FIRST_BATCH = 16;
const BATCH = 128;

/**
 * The names of one directory as a view sees them in LMDB, in (hash, name)
 * order: the newest version of each (rule F1), whiteouts included.
 *
 * Read in batches, so that no cursor stays open while the caller works, and
 * decoded where they lie: a listing makes one object per name.
 */
export class StoredNames {
  /** Names that were read and not given out yet: those from `#at`. */
  #batch: ListedName[] = [];
  #at = 0;
  #size = FIRST_BATCH;
  /** Where to read on; undefined: everything was read. */
  #from: Buffer | undefined;
  readonly #end: Buffer;
  #failure: CorruptionError | undefined;

  /** `onBatch` is told of the names of each batch before they are given out. */
  constructor(
    readonly reader: TableReader,
    readonly view: View,
    readonly directory: number,
    fromHash: number,
    readonly onBatch?: (names: readonly ListedName[]) => void,
  ) {
    this.#from = directoryPrefix(view.fileset, directory, fromHash);
    this.#end = prefixEnd(this.#from.subarray(0, PLACE_INODE_LENGTH));
  }

  /** Throws CorruptionError behind the names that come before the damaged one. */
  next(): ListedName | undefined {
    while (this.#at === this.#batch.length) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#from === undefined) return undefined;
      this.#batch = [];
      this.#at = 0;
      this.#read(this.#from);
      if (this.#batch.length > 0) this.onBatch?.(this.#batch);
    }
    return this.#batch[this.#at++];
  }

  /** Reads a batch. */
  #read(from: Buffer): void {
    const { view, directory } = this;
    const batch = this.#batch;
    let next: Buffer | undefined;
    const take = ({ keyBytes, keyStart, keyEnd, value, valueLength }: RecordView): boolean => {
      const hash = uint64At(keyBytes, keyStart + PLACE_INODE_LENGTH);
      const nameEnd = keyEnd - VERSION_LENGTH - 1;
      const name = keyBytes.toString('latin1', keyStart + ENTRY_NAME_AT, nameEnd);
      const where = (): string => `name ${name} of directory ${directory}`;
      const { ino, type } = decodeEntry(value, where, valueLength);
      batch.push({ hash, name, ino, type });
      if (batch.length < this.#size) return true;
      // Older versions of this name may follow; they are jumped over at the next read.
      next = afterKey(entryKey(view.fileset, directory, hash, name, 0));
      return false;
    };
    try {
      visitStored(this.reader, view, TABLE.entries, from, this.#end, take);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#failure = error;
    }
    this.#size = BATCH;
    this.#from = next;
  }
}

/** A directory that others have removed has no names any more, as for lookups; `status` tells. */
function namesIn(base: BaseDirectory, path: string): readonly BaseName[] {
  try {
    return base.list(path);
  } catch (error) {
    if (!(error instanceof FsError) || base.lstat(path) !== undefined) throw error;
    return [];
  }
}
