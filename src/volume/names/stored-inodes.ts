/**
 * Many inode records at once: those of a directory's children mostly lie side
 * by side, since they were made one after the other, and stepping to the next
 * record costs a fraction of looking it up.
 */
import { uint64At } from '../../format/big-endian.js';
import { inodeKey, keyLayerAt } from '../../format/records/keys.js';
import { MAX_LAYER, TABLE, VERSION_LENGTH } from '../../format/records/tables.js';
import type { RecordView } from '../../store/env.js';
import type { TableReader } from '../../store/reader.js';
import type { View } from '../view.js';

/** Numbers left out between two wanted ones that are stepped over rather than looked up anew. */
const MAX_GAP = 4;
/** Records stepped over in a row (older or foreign versions) before a new seek jumps the rest. */
const MAX_STEPPED = 6;

/** Where to read on: from which of the wanted inodes, and for it from which layer down. */
interface Position {
  at: number;
  layer: number;
}

type Take = (ino: number, layer: number, record: RecordView) => void;

/**
 * Gives the newest version that the view sees (rule F1) of each inode that has
 * one in LMDB, in ascending order, once. `inos` ascends; a file with several
 * names in a directory may be in it several times. `take` may neither keep the
 * record nor call into the store.
 */
export function visitInodes(
  reader: TableReader,
  view: View,
  inos: ArrayLike<number>,
  take: Take,
): void {
  let next: Position = { at: 0, layer: view.top };
  while (next.at < inos.length) next = visitRun(reader, view, inos, next, take);
}

function visitRun(
  reader: TableReader,
  view: View,
  inos: ArrayLike<number>,
  from: Position,
  take: Take,
): Position {
  let { at } = from;
  let last = at;
  while (last + 1 < inos.length && wanted(inos, last + 1) - wanted(inos, last) <= MAX_GAP) last++;
  const start = inodeKey(view.fileset, wanted(inos, at), from.layer);
  const end = inodeKey(view.fileset, wanted(inos, last) + 1, MAX_LAYER);
  let next: Position = { at: last + 1, layer: view.top };
  let stepped = 0;
  reader.visit(TABLE.inodes, start, end, (record) => {
    const { keyBytes, keyStart, keyEnd } = record;
    const ino = uint64At(keyBytes, keyStart + 4);
    while (wanted(inos, at) < ino) {
      if (at === last) return false;
      at++;
    }
    const isWanted = wanted(inos, at) === ino;
    const layer = keyLayerAt(keyBytes, keyEnd - VERSION_LENGTH);
    if (isWanted && view.includes(layer)) {
      take(ino, layer, record);
      stepped = 0;
      // Its older versions, which come next, are not wanted, even if it is named twice.
      while (at <= last && wanted(inos, at) === ino) at++;
      return at <= last;
    }
    if (++stepped < MAX_STEPPED) return true;
    const below = isWanted ? view.lineage.floor(layer) : view.top;
    next = below === 0 ? { at: at + 1, layer: view.top } : { at, layer: below };
    return false;
  });
  return next;
}

function wanted(inos: ArrayLike<number>, at: number): number {
  return inos[at] as number;
}
