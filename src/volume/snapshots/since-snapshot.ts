/**
 * What has been written since the snapshot that the live tree is based on:
 * whether anything, and how much. In bounded time, whatever was written: the
 * delta maps are read up to a limit, and then it is "at least" so much.
 *
 * What must hold: `isChanged` false means that the tree is that snapshot. True
 * means that something was written, perhaps what was there before.
 */
import { deltaPrefix, prefixEnd } from '../../format/records/keys.js';
import { BASE_LAYER, TABLE } from '../../format/records/tables.js';
import type { Snapshot } from '../catalog.js';
import type { ReadableVolume } from '../readable-volume.js';

interface Written {
  /** Files and directories that were made, removed or written. */
  changedFileCount: number;
  /** Bytes of the blocks written, whole blocks each. */
  changedBytes: number;
  /** There is more than was counted. */
  isAtLeast: boolean;
}

export interface SinceSnapshot extends Written {
  /** Null: nothing was saved yet that this tree comes from; it comes from the base directory. */
  basedOn: Pick<Snapshot, 'name' | 'uuid' | 'kind' | 'createdMs' | 'note'> | null;
  isChanged: boolean;
}

/** Counting so many places takes a few milliseconds, in which the mount serves nobody. */
const COUNTED_MAX = 2_000;
/** Sealed layers without a name, between the open one and the snapshot: the collector folds them. */
const LAYERS_MAX = 16;
/** Where the inode number lies in the delta map's keys: layer, table, fileset. */
const INODE_OFFSET = 6 + 1 + 4;

export function sinceSnapshot(volume: ReadableVolume): SinceSnapshot {
  const { layers, basedOn } = pathToSnapshot(volume);
  const written = writtenIn(volume, layers, COUNTED_MAX);
  // A volume over nothing begins with the root directory alone.
  if (basedOn === null && volume.base === undefined && written.changedFileCount === 1) {
    return { ...written, basedOn, changedFileCount: 0, isChanged: written.changedBytes > 0 };
  }
  const isChanged = written.changedFileCount > 0 || written.changedBytes > 0;
  return { ...written, basedOn, isChanged };
}

/**
 * What was written in the layers of only one of two trees, of at most so many places: what `top` has
 * done since `fork`, also when a restore has taken it elsewhere.
 */
export function writtenSince(
  volume: ReadableVolume,
  top: number,
  fork: number,
  placesMax = COUNTED_MAX,
): Written {
  const { onlyA, onlyB } = volume.layers.difference(top, fork);
  // One more than is counted says that there are more.
  const layers = [...onlyA, ...onlyB].slice(0, LAYERS_MAX + 1);
  return writtenIn(volume, layers, placesMax);
}

function writtenIn(volume: ReadableVolume, layers: readonly number[], placesMax: number): Written {
  const files = new Set<number>();
  let blocks = 0;
  let isAtLeast = layers.length > LAYERS_MAX;
  for (const layer of layers.slice(0, LAYERS_MAX)) {
    for (const txg of [volume.core.open, volume.core.closing]) {
      const changes = txg?.layers.get(layer);
      if (changes === undefined) continue;
      for (const map of [changes.inodes, changes.directories, changes.files, changes.xattrs]) {
        for (const ino of map.keys()) {
          if (files.size >= placesMax) break;
          files.add(ino);
        }
      }
      for (const written of changes.files.values()) blocks += written.size;
    }
    const stored = storedPlaces(volume, layer, TABLE.inodes, placesMax);
    for (const key of stored.keys) files.add(key.readUIntBE(INODE_OFFSET + 2, 6));
    const data = storedPlaces(volume, layer, TABLE.blocks, placesMax);
    blocks += data.keys.length;
    isAtLeast ||= stored.isCut || data.isCut || files.size >= placesMax;
  }
  return {
    changedFileCount: files.size,
    changedBytes: blocks * volume.options.blockSize,
    isAtLeast,
  };
}

/** The layers above the nearest snapshot that the live tree descends from. */
function pathToSnapshot(volume: ReadableVolume): {
  layers: number[];
  basedOn: SinceSnapshot['basedOn'];
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
    return { layers, basedOn };
  }
  return { layers, basedOn: null };
}

function storedPlaces(
  volume: ReadableVolume,
  layer: number,
  table: typeof TABLE.inodes | typeof TABLE.blocks,
  placesMax: number,
): { keys: Buffer[]; isCut: boolean } {
  const prefix = deltaPrefix(layer, table);
  const range = volume.store.range(TABLE.delta, prefix, prefixEnd(prefix), {
    limit: placesMax,
    keysOnly: true,
  });
  const keys = [...range].map(({ key }) => key);
  return { keys, isCut: keys.length >= placesMax };
}
