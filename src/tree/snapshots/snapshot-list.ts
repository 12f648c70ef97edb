/** The list of snapshots for the name space: order and time. Pure. */
import { byteStringOfText } from '../../lib/byte-text.js';
import { nameHash } from '../../format/records/name-hash.js';
import type { SnapshotRecord } from '../tree-volume.js';

export function newestFirst(snapshots: readonly SnapshotRecord[]): SnapshotRecord[] {
  return [...snapshots].sort((a, b) => b.layer - a.layer);
}

/**
 * mtime of `.snapshots`: the time of the newest snapshot. Every change of the
 * list shows in its sub-millisecond part, because the kernel uses its copy of a
 * listing while the mtime is the same. `emptyS` is the time of an empty list.
 */
export function listTime(
  snapshots: readonly SnapshotRecord[],
  emptyS: number,
): { s: number; ns: number } {
  let newestMs = 0;
  let mark = snapshots.length;
  for (const { name, layer, createdMs } of snapshots) {
    if (createdMs > newestMs) newestMs = createdMs;
    mark = (Math.imul(mark, 31) + nameHash(byteStringOfText(name)) + layer) >>> 0;
  }
  if (newestMs === 0) return { s: emptyS, ns: 0 };
  const ms = Math.floor(newestMs);
  return { s: Math.floor(ms / 1000), ns: (ms % 1000) * 1_000_000 + (mark % 1_000_000) };
}
