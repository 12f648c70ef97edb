/**
 * The txgs (transaction groups) in memory: changes that are not yet in LMDB.
 *
 * There is one open txg, which takes changes, and at most one closing txg,
 * which the writer is storing and which no longer changes. Reads ask the open
 * txg, the closing one, then LMDB (native-notes/design.md, section 3). A txg
 * holds its changes per layer, since one txg may hold the end of one layer and
 * the start of the next.
 */
import type { SlabArena } from '../../store/batch.js';
import type { TableNumber } from '../../format/records/tables.js';
import { nameHash } from '../../format/records/name-hash.js';
import { ChangedSince } from '../log/changed-since.js';
import type { Inode } from '../inode.js';

/** A block as it will be stored: room for the header, then `length` bytes. */
export interface BlockChange {
  step: number;
  hole: boolean;
  /** Header room (BLOCK_HEADER_LENGTH) and capacity for the bytes. */
  room: Buffer;
  length: number;
}

export interface EntryChange {
  hash: number;
  name: string;
  /** 0: the name is gone. */
  ino: number;
  type: number;
  fresh: boolean;
}

/** The changed names of one directory, by name and, once listed, in order. */
export class DirectoryChanges {
  readonly names = new Map<string, EntryChange>();
  #order: EntryChange[] | undefined;

  get(name: string): EntryChange | undefined {
    return this.names.get(name);
  }

  set(name: string, ino: number, type: number, fresh: boolean): void {
    const known = this.names.get(name);
    if (known !== undefined) {
      known.ino = ino;
      known.type = type;
      known.fresh = fresh;
      return;
    }
    const change = { hash: nameHash(name), name, ino, type, fresh };
    this.names.set(name, change);
    if (this.#order !== undefined) {
      this.#order.splice(firstAtOrAfter(this.#order, change.hash, name), 0, change);
    }
  }

  /** All changes ordered by (hash, name); built at the first listing, then kept. */
  ordered(): readonly EntryChange[] {
    if (this.#order === undefined) {
      this.#order = [...this.names.values()].sort(
        (a, b) => a.hash - b.hash || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
      );
    }
    return this.#order;
  }
}

/** Index of the first element at or after (hash, name) in an ordered list. */
export function firstAtOrAfter(
  list: readonly { hash: number; name: string }[],
  hash: number,
  name: string,
): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = list[middle] as { hash: number; name: string };
    if (item.hash < hash || (item.hash === hash && item.name < name)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What one txg changes in one layer. In every map, null means *gone*. */
export class LayerChanges {
  readonly inodes = new Map<number, Inode | null>();
  /** Gone inodes that were born in this layer: their record is deleted (rule F2). */
  readonly droppedInodes = new Set<number>();
  /** When base files went, ms since 1970: `apply` asks whether the base has changed since. */
  readonly goneMs = new Map<number, number>();
  readonly directories = new Map<number, DirectoryChanges>();
  readonly files = new Map<number, Map<number, BlockChange>>();
  readonly xattrs = new Map<number, Map<string, Buffer | null>>();
  /** true: an orphan; false: reaped; null: the record of this layer is deleted. */
  readonly orphans = new Map<number, boolean | null>();
  /** Inodes that became orphans in this txg: when they go, no record of that is stored. */
  readonly newOrphans = new Set<number>();
  /**
   * Which of the changes are not in the intent log; undefined: none is logged. Every change is
   * noted there.
   */
  since: ChangedSince | undefined;

  constructor(readonly layer: number) {}

  directory(ino: number): DirectoryChanges {
    let directory = this.directories.get(ino);
    if (directory === undefined) {
      directory = new DirectoryChanges();
      this.directories.set(ino, directory);
    }
    return directory;
  }

  file(ino: number): Map<number, BlockChange> {
    let blocks = this.files.get(ino);
    if (blocks === undefined) {
      blocks = new Map();
      this.files.set(ino, blocks);
    }
    return blocks;
  }
}

export interface SystemChange {
  table: TableNumber;
  key: Buffer;
  /** undefined: delete. */
  value: Buffer | undefined;
}

export class Txg {
  readonly layers = new Map<number, LayerChanges>();
  readonly system = new Map<string, SystemChange>();
  /** Inodes made in this txg: older txgs and LMDB have nothing of them. */
  readonly newInodes = new Set<number>();
  openedMs: number | undefined;
  /** Upper bound of the records this txg will write. */
  records = 0;
  /** Bytes of names and metadata, estimated; the arena counts blocks. */
  metaBytes = 0;
  /** Keys of `system` that are not in the intent log; undefined: nothing of the txg is. */
  systemSince: Set<string> | undefined;
  /** The txg holds changes that the intent log does not take. */
  isUnloggable = false;
  /** Closed: some of its changes go to LMDB only. */
  isUnlogged = true;
  /** Closed: the position up to which the intent log had been written. */
  logEnd = 0;

  constructor(
    readonly id: number,
    readonly arena: SlabArena,
  ) {}

  layer(number: number): LayerChanges {
    let changes = this.layers.get(number);
    if (changes === undefined) {
      changes = new LayerChanges(number);
      if (this.systemSince !== undefined) changes.since = new ChangedSince();
      this.layers.set(number, changes);
    }
    return changes;
  }

  putSystem(table: TableNumber, key: Buffer, value: Buffer | undefined): void {
    const id = `${table}:${key.toString('latin1')}`;
    this.system.set(id, { table, key, value });
    this.systemSince?.add(id);
    this.note(64 + (value?.length ?? 0));
  }

  /** Counts one record of about `bytes`. */
  note(bytes: number): void {
    this.records++;
    this.metaBytes += bytes;
  }

  /** The intent log has every change of the txg. */
  get isLogged(): boolean {
    if (this.isUnloggable) return false;
    if (this.systemSince === undefined) return this.isEmpty;
    if (this.systemSince.size > 0) return false;
    for (const { since } of this.layers.values()) if (since?.isEmpty === false) return false;
    return true;
  }

  /** From now on the intent log has everything that the txg holds. */
  logged(): void {
    if (this.systemSince === undefined) this.systemSince = new Set();
    else this.systemSince.clear();
    for (const changes of this.layers.values()) {
      if (changes.since === undefined) changes.since = new ChangedSince();
      else changes.since.clear();
    }
  }

  get isEmpty(): boolean {
    return this.records === 0;
  }

  get bytes(): number {
    return this.arena.bytesUsed + this.metaBytes;
  }
}
