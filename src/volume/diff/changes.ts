/**
 * What differs between two views (native-notes/design.md, section 3 and row
 * S14): the delta maps of the layers that lie on one of the two paths only.
 * Costs what changed, not what there is. Reads the committed state.
 */
import {
  decodeDeltaKey,
  deltaPrefix,
  entryNameOf,
  inodeOf,
  prefixEnd,
} from '../../format/records/keys.js';
import { TABLE } from '../../format/records/tables.js';
import type { StoreReader } from '../../store/reader.js';
import type { LayerTree } from '../lineage.js';

export type Change =
  | { kind: 'inode'; ino: number }
  | { kind: 'entry'; directory: number; name: string };

/** Each changed inode and name, once per layer that touched it. */
export function* changedPlaces(
  reader: StoreReader,
  layers: LayerTree,
  fromTop: number,
  toTop: number,
): Generator<Change> {
  const { onlyA, onlyB } = layers.difference(fromTop, toTop);
  // Oldest first: the collector folds a layer into a newer one, which is read later.
  for (const layer of [...onlyA.reverse(), ...onlyB.reverse()]) {
    for (const table of [TABLE.inodes, TABLE.entries] as const) {
      const prefix = deltaPrefix(layer, table);
      const range = reader.range(TABLE.delta, prefix, prefixEnd(prefix), { keysOnly: true });
      for (const { key } of range) {
        const { place } = decodeDeltaKey(key);
        if (table === TABLE.inodes) yield { kind: 'inode', ino: inodeOf(place) };
        else yield { kind: 'entry', directory: inodeOf(place), name: entryNameOf(place) };
      }
    }
  }
}
