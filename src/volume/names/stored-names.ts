/**
 * The names of one directory as a view sees them in LMDB, in (hash, name)
 * order: the newest version of each (rule F1), whiteouts included.
 *
 * Read in batches, so that no cursor stays open while the caller works, and
 * decoded where they lie: a listing makes one object per name.
 */
import { CorruptionError } from '../../lib/errors.js';
import { uint64At } from '../../format/big-endian.js';
import {
  afterKey,
  directoryPrefix,
  ENTRY_NAME_AT,
  entryKey,
  PLACE_INODE_LENGTH,
  prefixEnd,
} from '../../format/records/keys.js';
import { TABLE, VERSION_LENGTH } from '../../format/records/tables.js';
import { decodeEntry } from '../../format/records/values.js';
import type { RecordView } from '../../store/env.js';
import type { TableReader } from '../../store/reader.js';
import { visitStored } from '../newest.js';
import type { View } from '../view.js';

export interface ListedName {
  hash: number;
  name: string;
  /** 0: a whiteout, which hides the name below. */
  ino: number;
  type: number;
}

/** Most directories fit into the first batch. */
const FIRST_BATCH = 16;
const BATCH = 128;

export class StoredNames {
  /** Names read but not returned yet: those from `#at` on. */
  #batch: ListedName[] = [];
  #at = 0;
  #size = FIRST_BATCH;
  /** Where to continue reading; undefined: everything was read. */
  #from: Buffer | undefined;
  readonly #end: Buffer;
  #failure: CorruptionError | undefined;

  /** `onBatch` receives the names of each batch before they are returned. */
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

  /** Throws CorruptionError after the names that come before the damaged one. */
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
