/**
 * What has been written since the snapshot that the live tree is based on:
 * whether anything, and how much. In bounded time, whatever was written: the
 * delta maps are read up to a limit, and then it is "at least" so much.
 *
 * What must hold: `isChanged` false means that the tree is that snapshot. True
 * means that something was written, perhaps what was there before.
 */
import { deltaPrefix, prefixEnd } from '../../format/records/keys.js';
import { BASE_LAYER, ROOT_INODE, TABLE } from '../../format/records/tables.js';
import type { Snapshot } from '../catalog.js';
import type { ReadableVolume } from '../readable-volume.js';

export interface SinceSnapshot {
  /** Null: nothing was saved yet that this tree comes from; it comes from the base directory. */
  basedOn: Pick<Snapshot, 'name' | 'uuid' | 'kind' | 'createdMs' | 'note'> | null;
  isChanged: boolean;
  /** Files and directories that were made, removed or written. */
  changedFileCount: number;
  /** Bytes of the blocks written, whole blocks each. */
  changedBytes: number;
  /** There is more than was counted. */
  isAtLeast: boolean;
}

/** Counting so many places takes a few milliseconds, in which the mount serves nobody. */
const COUNTED_MAX = 2_000;
/** Sealed layers without a name, between the open one and the snapshot: the collector folds them. */
const LAYERS_MAX = 16;
/** Where the inode number lies in the delta map's keys: layer, table, fileset. */
const INODE_OFFSET = 6 + 1 + 4;

export function sinceSnapshot(volume: ReadableVolume): SinceSnapshot {
  const { layers, basedOn, isCut } = pathToSnapshot(volume);
  const files = new Set<number>();
  let blocks = 0;
  let isAtLeast = isCut;
  for (const layer of layers) {
    for (const txg of [volume.core.open, volume.core.closing]) {
      const changes = txg?.layers.get(layer);
      if (changes === undefined) continue;
      for (const map of [changes.inodes, changes.directories, changes.files, changes.xattrs]) {
        for (const ino of map.keys()) {
          if (files.size >= COUNTED_MAX) break;
          files.add(ino);
        }
      }
      for (const written of changes.files.values()) blocks += written.size;
    }
    const stored = storedPlaces(volume, layer, TABLE.inodes);
    for (const key of stored.keys) files.add(key.readUIntBE(INODE_OFFSET + 2, 6));
    const data = storedPlaces(volume, layer, TABLE.blocks);
    blocks += data.keys.length;
    isAtLeast ||= stored.isCut || data.isCut || files.size >= COUNTED_MAX;
  }
  // A volume over nothing begins with the root directory alone.
  const isNew = basedOn === null && volume.base === undefined && files.size === 1;
  if (isNew) files.delete(ROOT_INODE);
  return {
    basedOn,
    isChanged: files.size > 0 || blocks > 0,
    changedFileCount: files.size,
    changedBytes: blocks * volume.options.blockSize,
    isAtLeast,
  };
}

/** The layers above the nearest snapshot that the live tree descends from. */
function pathToSnapshot(volume: ReadableVolume): {
  layers: number[];
  basedOn: SinceSnapshot['basedOn'];
  isCut: boolean;
} {
  const named = new Map<number, Snapshot>();
  for (const snapshot of volume.snapshots()) named.set(snapshot.layer, snapshot);
  const layers: number[] = [];
  for (let layer = volume.live.top; layer > BASE_LAYER; ) {
    layers.push(layer);
    layer = volume.layers.get(layer).parent;
    const found = named.get(layer);
    if (found === undefined) continue;
    const { name, uuid, kind, createdMs, note } = found;
    const basedOn = { name, uuid, kind, createdMs, ...(note !== undefined && { note }) };
    return { layers: layers.slice(0, LAYERS_MAX), basedOn, isCut: layers.length > LAYERS_MAX };
  }
  return {
    layers: layers.slice(0, LAYERS_MAX),
    basedOn: null,
    isCut: layers.length > LAYERS_MAX,
  };
}

function storedPlaces(
  volume: ReadableVolume,
  layer: number,
  table: typeof TABLE.inodes | typeof TABLE.blocks,
): { keys: Buffer[]; isCut: boolean } {
  const prefix = deltaPrefix(layer, table);
  const range = volume.store.range(TABLE.delta, prefix, prefixEnd(prefix), {
    limit: COUNTED_MAX,
    keysOnly: true,
  });
  const keys = [...range].map(({ key }) => key);
  return { keys, isCut: keys.length >= COUNTED_MAX };
}
