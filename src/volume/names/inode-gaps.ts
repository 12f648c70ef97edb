/**
 * Where nothing is recorded: most inodes have no attribute and are no orphan,
 * and those of a new snapshot are in no older one; one look says so for all up
 * to the next that has something.
 */
import { deltaKey, inodeOf, inodePlace, decodeDeltaKey } from '../../format/records/keys.js';
import { TABLE, type TableNumber } from '../../format/records/tables.js';
import type { TableReader } from '../../store/reader.js';

/** Holds for one committed state, and for later ones as far as nothing is added. */
export class InodeGaps {
  /** From the first number to below the second there is no record. */
  #from = 0;
  #to = 0;

  /** `next`: the first inode at or above a number that has a record; or Infinity. */
  constructor(readonly next: (ino: number) => number) {}

  /** Something may have been added. */
  forget(): void {
    this.#to = this.#from;
  }

  /** The inode lies in one: it has no record in LMDB. What it has otherwise may be hidden. */
  has(ino: number): boolean {
    if (ino < this.#from || ino >= this.#to) {
      this.#from = ino;
      this.#to = this.next(ino);
    }
    return ino < this.#to;
  }
}

/** In a table, of whatever layers. */
export function gapsOfTable(reader: TableReader, table: TableNumber, fileset: number): InodeGaps {
  return new InodeGaps((ino) => {
    const found = reader.seek(table, inodePlace(fileset, ino), inodePlace(fileset + 1, 0));
    return found === undefined ? Number.POSITIVE_INFINITY : inodeOf(found.key);
  });
}

/** Among the inode records of some layers; costs a look for each. */
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
