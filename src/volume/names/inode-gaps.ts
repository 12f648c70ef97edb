/**
 * Ranges of inode numbers without records: most inodes have no xattrs and are
 * not orphans, and the inodes of a new snapshot are in no older one. One lookup
 * answers for all numbers up to the next record.
 */
import { deltaKey, inodeOf, inodePlace, decodeDeltaKey } from '../../format/records/keys.js';
import { TABLE, type TableNumber } from '../../format/records/tables.js';
import type { TableReader } from '../../store/reader.js';

/** Valid for one committed state, and for later ones while nothing is added. */
export class InodeGaps {
  /** From `#from` to below `#to` there is no record. */
  #from = 0;
  #to = 0;

  /** `next`: the first inode at or above a number that has a record; or Infinity. */
  constructor(readonly next: (ino: number) => number) {}

  /** Call when a record may have been added. */
  forget(): void {
    this.#to = this.#from;
  }

  /**
   * True when the inode lies in a gap: it has no record in LMDB. When false,
   * its records may still be hidden from a view.
   */
  has(ino: number): boolean {
    if (ino < this.#from || ino >= this.#to) {
      this.#from = ino;
      this.#to = this.next(ino);
    }
    return ino < this.#to;
  }
}

/** Gaps in a table, in any layers. */
export function gapsOfTable(reader: TableReader, table: TableNumber, fileset: number): InodeGaps {
  return new InodeGaps((ino) => {
    const found = reader.seek(table, inodePlace(fileset, ino), inodePlace(fileset + 1, 0));
    return found === undefined ? Number.POSITIVE_INFINITY : inodeOf(found.key);
  });
}

/** Gaps among the inode records of some layers; costs one lookup for each. */
export function gapsOfLayers(
  reader: TableReader,
  layers: readonly number[],
  fileset: number,
): InodeGaps {
  const nextIn = (layer: number, ino: number): number => {
    const start = deltaKey(layer, TABLE.inodes, inodePlace(fileset, ino));
    const end = deltaKey(layer, TABLE.inodes, inodePlace(fileset + 1, 0));
    const found = reader.seek(TABLE.delta, start, end);
    if (found === undefined) return Number.POSITIVE_INFINITY;
    return inodeOf(decodeDeltaKey(found.key).place);
  };
  return new InodeGaps((ino) => Math.min(...layers.map((layer) => nextIn(layer, ino))));
}
