/**
 * Reads many inode records at once. The children of a directory are mostly
 * neighbours, because they were made one after the other, and stepping to the
 * next record costs a fraction of a lookup.
 */
import { uint64At } from '../../format/big-endian.js';
import { inodeKey } from '../../format/records/keys.js';
import { MAX_LAYER, TABLE } from '../../format/records/tables.js';
import type { RecordView } from '../../store/env.js';
import type { TableReader } from '../../store/reader.js';
import { visitStored } from '../newest.js';
import type { View } from '../view.js';

/** Up to this many numbers between two wanted ones are stepped over instead of looked up. */
const MAX_GAP = 4;

/**
 * Visits the newest version that the view sees (rule F1) of each inode that has
 * one in LMDB, in ascending order, once. `inos` ascends; a file with several
 * names in a directory may be in it several times. `take` may neither keep the
 * record nor call into the store.
 */
export function visitInodes(
  reader: TableReader,
  view: View,
  inos: ArrayLike<number>,
  take: (ino: number, layer: number, record: RecordView) => void,
): void {
  const wanted = (at: number): number => inos[at] as number;
  for (let at = 0, last = 0; at < inos.length; at = last + 1) {
    last = at;
    while (last + 1 < inos.length && wanted(last + 1) - wanted(last) <= MAX_GAP) last++;
    const start = inodeKey(view.fileset, wanted(at), view.top);
    const end = inodeKey(view.fileset, wanted(last) + 1, MAX_LAYER);
    let next = at;
    visitStored(reader, view, TABLE.inodes, start, end, (record, layer) => {
      const ino = uint64At(record.keyBytes, record.keyStart + 4);
      while (next <= last && wanted(next) < ino) next++;
      if (next > last) return false;
      if (wanted(next) !== ino) return true;
      take(ino, layer, record);
      return next < last;
    });
  }
}
