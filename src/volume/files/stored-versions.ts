/**
 * The newest version of every place in a range of a versioned table, as a view
 * sees it (rule F1), in LMDB only. Runs of foreign or older versions are jumped
 * over, not stepped through: the cost does not grow with the layers.
 */
import { afterKey, layerOf, placeOf, versionedKey } from '../../format/records/keys.js';
import { MAX_STEP, type TableNumber } from '../../format/records/tables.js';
import type { TableReader } from '../../store/reader.js';
import type { StoredVersion } from '../core.js';
import type { View } from '../view.js';

/** Versions stepped over before a new seek jumps the rest. */
const MAX_STEPPED = 6;

/** In key order; keys and values are copies, with `keysOnly` values are empty. */
export function* storedVersions(
  reader: TableReader,
  view: View,
  table: TableNumber,
  start: Buffer,
  end: Buffer,
  options: { keysOnly?: boolean } = {},
): Generator<StoredVersion> {
  let from: Buffer | undefined = start;
  /** The place that was given out last: its older versions don't count. */
  let last: Buffer | undefined;
  while (from !== undefined) {
    let next: Buffer | undefined;
    let stepped = 0;
    for (const { key, value } of reader.range(table, from, end, options)) {
      const place = placeOf(table, key);
      const layer = layerOf(table, key);
      const isOld = last?.equals(place) === true;
      if (!isOld && view.includes(layer)) {
        last = place;
        stepped = 0;
        yield { key, value, layer };
      } else if (++stepped >= MAX_STEPPED) {
        const below = isOld ? 0 : view.lineage.floor(layer);
        const key = versionedKey(table, place, below, below === 0 ? 0 : MAX_STEP);
        next = below === 0 ? afterKey(key) : key;
        break;
      }
    }
    from = next !== undefined && next.compare(end) < 0 ? next : undefined;
  }
}
