/**
 * Where a table has nothing: most inodes have no attribute and are no orphan,
 * and one seek says so for all up to the next that has something.
 */
import { inodeOf, inodePlace } from '../format/keys.js';
import type { TableNumber } from '../format/tables.js';
import type { TableReader } from '../store/reader.js';

/** Of one fileset, in whatever layer. */
export class InodeGaps {
  /** From the first number to below the second there is no record. */
  #from = 0;
  #to = 0;

  constructor(
    readonly reader: TableReader,
    readonly table: TableNumber,
    readonly fileset: number,
  ) {}

  /** The inode lies in one: it has no record in LMDB. What it has otherwise may be hidden. */
  has(ino: number): boolean {
    if (ino < this.#from || ino >= this.#to) {
      const { reader, table, fileset } = this;
      const end = inodePlace(fileset + 1, 0);
      const next = reader.seek(table, inodePlace(fileset, ino), end);
      this.#from = ino;
      this.#to = next === undefined ? Number.POSITIVE_INFINITY : inodeOf(next.key);
    }
    return ino < this.#to;
  }
}
