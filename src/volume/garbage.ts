/**
 * Which records nobody can see (rules D4, D13): the collector's decisions, apart
 * from its work. Looks at the store inside a transaction; changes nothing.
 */
import { CorruptionError } from '../base/errors.js';
import { decodeInode, type InodeFields } from '../format/inode-record.js';
import {
  blockIndexOf,
  filesetOf,
  inodeKey,
  inodeOf,
  inodePlace,
  layerOf,
  prefixEnd,
  stepOf,
  versionedKey,
} from '../format/keys.js';
import { isBaseNumber, MAX_STEP, TABLE, type TableNumber } from '../format/tables.js';
import type { TableReader } from '../store/reader.js';
import { Inode } from './inode.js';
import type { LayerTree } from './lineage.js';

export type InodeState = InodeFields | 'gone' | 'absent';

/** Keys of the versions of a place in one layer, the newest step first. */
export function versionsIn(
  tx: TableReader,
  table: TableNumber,
  place: Buffer,
  layer: number,
): Buffer[] {
  const start = versionedKey(table, place, layer, MAX_STEP);
  const end = versionedKey(table, place, layer - 1, MAX_STEP);
  return [...tx.range(table, start, end, { keysOnly: true })].map(({ key }) => key);
}

/** Gone, whited out, a hole or reaped: its first byte is 0. */
export function isTombstone(tx: TableReader, table: TableNumber, key: Buffer): boolean {
  return tx.get(table, key)?.[0] === 0;
}

/** Is there a version of any place that starts with `prefix` in one of these layers? */
function hasVersionIn(
  tx: TableReader,
  table: TableNumber,
  prefix: Buffer,
  layers: ReadonlySet<number>,
): boolean {
  for (const { key } of tx.range(table, prefix, prefixEnd(prefix), { keysOnly: true })) {
    if (layers.has(layerOf(table, key))) return true;
  }
  return false;
}

/** Decides by one state of the layer tree and of the tops that are kept. */
export class Garbage {
  constructor(
    readonly tree: LayerTree,
    /** Snapshots, open layers and pinned ones. */
    readonly keptTops: ReadonlySet<number>,
    readonly blockSize: number,
    readonly hasBase: boolean,
  ) {}

  inodeAt(tx: TableReader, fileset: number, ino: number, layer: number): InodeState {
    const value = tx.get(TABLE.inodes, inodeKey(fileset, ino, layer));
    if (value === undefined) return 'absent';
    const inode = new Inode(ino);
    try {
      return decodeInode(value, inode, () => `inode ${ino} in layer ${layer}`) ? inode : 'gone';
    } catch (error) {
      // A damaged record hides nothing: what it may have hidden stays.
      if (error instanceof CorruptionError) return 'absent';
      throw error;
    }
  }

  isClipped(inode: InodeFields, index: number, layer: number, step: number): boolean {
    return inode.clips.some(
      (clip) =>
        clip.size <= index * this.blockSize &&
        (layer < clip.layer || (layer === clip.layer && step < clip.step)),
    );
  }

  /**
   * Rule D13, last part: a tombstone in `layer` hides nothing, neither in the
   * base nor in the layers below. Of a gone inode nothing at all must be left.
   */
  hidesNothing(tx: TableReader, table: TableNumber, place: Buffer, layer: number): boolean {
    const ino = inodeOf(place);
    if (this.hasBase && isBaseNumber(ino)) return false;
    const below = new Set(this.tree.path(this.tree.get(layer).parent));
    if (table !== TABLE.inodes) return !hasVersionIn(tx, table, place, below);
    const all = inodePlace(filesetOf(place), ino);
    if (hasVersionIn(tx, TABLE.inodes, all, below)) return false;
    below.add(layer);
    return ![TABLE.entries, TABLE.blocks, TABLE.attributes].some((t) =>
      hasVersionIn(tx, t, all, below),
    );
  }

  /** Rule D13: does a kept top read this version of the place? */
  isNeeded(
    tx: TableReader,
    table: TableNumber,
    place: Buffer,
    key: Buffer,
    layer: number,
  ): boolean {
    const ino = inodeOf(place);
    const fileset = filesetOf(place);
    if (this.#hides(tx, table, place, fileset, ino, layer, layer, key)) return false;
    const versions = new Set<number>();
    for (const found of tx.range(table, place, prefixEnd(place), { keysOnly: true })) {
      versions.add(layerOf(table, found.key));
    }
    const isCovered = (child: number): boolean => {
      if (versions.has(child)) return true;
      if (this.#hides(tx, table, place, fileset, ino, child, layer, key)) return true;
      return !this.keptTops.has(child) && this.tree.children(child).every(isCovered);
    };
    return !this.tree.children(layer).every(isCovered);
  }

  /** The inode's own record in layer `at` hides the version `key` of `layer`. */
  #hides(
    tx: TableReader,
    table: TableNumber,
    place: Buffer,
    fileset: number,
    ino: number,
    at: number,
    layer: number,
    key: Buffer,
  ): boolean {
    if (table === TABLE.inodes || table === TABLE.orphans) return false;
    const state = this.inodeAt(tx, fileset, ino, at);
    if (state === 'gone') return true;
    if (state === 'absent' || table !== TABLE.blocks) return false;
    return this.isClipped(state, blockIndexOf(place), layer, stepOf(key));
  }
}
