/**
 * Decides which records no view can see (rules D4, D13); the collector acts on
 * it. Reads the store inside a transaction; changes nothing.
 */
import { isHidden } from '../../format/given.js';
import { CorruptionError } from '../../lib/errors.js';
import { decodeInode, type InodeFields } from '../../format/records/inode-record.js';
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
} from '../../format/records/keys.js';
import { isBaseNumber, MAX_STEP, TABLE, type TableNumber } from '../../format/records/tables.js';
import type { TableReader } from '../../store/reader.js';
import { Inode } from '../inode.js';
import type { LayerTree } from '../lineage.js';

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

/** True for gone, whiteout, hole and reaped: the value's first byte is 0. */
export function isTombstone(tx: TableReader, table: TableNumber, key: Buffer): boolean {
  return tx.get(table, key)?.[0] === 0;
}

/** True when one of these layers has a version of any place that starts with `prefix`. */
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

interface States {
  fileset: number;
  ino: number;
  byLayer: readonly (readonly [layer: number, state: InodeState])[];
}

const NOTHING: ReadonlySet<number> = new Set();

/** Decides for one state of the layer tree and of the kept tops. */
export class Garbage {
  #last: States | undefined;

  constructor(
    readonly tree: LayerTree,
    /** Snapshots, open layers and pinned layers. */
    readonly keptTops: ReadonlySet<number>,
    readonly blockSize: number,
    readonly hasBase: boolean,
    /** Files that take their bytes back from the base. */
    readonly returning: ReadonlySet<number> = NOTHING,
  ) {}

  inodeAt(tx: TableReader, fileset: number, ino: number, layer: number): InodeState {
    const value = tx.get(TABLE.inodes, inodeKey(fileset, ino, layer));
    if (value === undefined) return 'absent';
    const inode = new Inode(ino);
    try {
      return decodeInode(value, inode, () => `inode ${ino} in layer ${layer}`) ? inode : 'gone';
    } catch (error) {
      // A damaged record hides nothing: the records it may have hidden stay.
      if (error instanceof CorruptionError) return 'absent';
      throw error;
    }
  }

  /** Whether the inode's record hides the version `key` of one of its blocks (rules D4, G1). */
  hides({ clips, given }: InodeFields, key: Buffer): boolean {
    const offset = blockIndexOf(key) * this.blockSize;
    // What is being taken back is hidden until all of it is there (rule G6).
    const counted = this.returning.has(inodeOf(key)) ? undefined : given;
    return isHidden({ clips, given: counted }, offset, layerOf(TABLE.blocks, key), stepOf(key));
  }

  /**
   * Rule D13, last part: a tombstone in `layer` hides nothing, neither in the
   * base nor in the layers below. A gone inode must have no records left at
   * all.
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

  /** Rule D13: true when a kept top reads this version of the place. */
  isNeeded(
    tx: TableReader,
    table: TableNumber,
    place: Buffer,
    key: Buffer,
    layer: number,
  ): boolean {
    const versions = this.#layersOf(tx, table, place);
    const hiding = this.#hidingLayers(tx, table, place, key);
    if (hiding.has(layer)) return false;
    if (this.keptTops.has(layer)) return true;
    // A stack instead of recursion: there may be thousands of layers between two kept ones.
    const left = [...this.tree.children(layer)];
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      if (versions.has(at) || hiding.has(at)) continue;
      if (this.keptTops.has(at)) return true;
      left.push(...this.tree.children(at));
    }
    return false;
  }

  #layersOf(tx: TableReader, table: TableNumber, place: Buffer): ReadonlySet<number> {
    const layers = new Set<number>();
    for (const { key } of tx.range(table, place, prefixEnd(place), { keysOnly: true })) {
      layers.add(layerOf(table, key));
    }
    return layers;
  }

  /** Every record of an inode; the records of the last inode stay cached until `forget`. */
  #statesOf(tx: TableReader, fileset: number, ino: number): States['byLayer'] {
    const last = this.#last;
    if (last?.ino === ino && last.fileset === fileset) return last.byLayer;
    const byLayer = [...this.#layersOf(tx, TABLE.inodes, inodePlace(fileset, ino))].map(
      (at) => [at, this.inodeAt(tx, fileset, ino, at)] as const,
    );
    this.#last = { fileset, ino, byLayer };
    return byLayer;
  }

  /** Call when inodes may have changed: at the start of a transaction, and after changes in it. */
  forget(): void {
    this.#last = undefined;
  }

  /** The layers in which the inode's own record hides the version `key`. */
  #hidingLayers(
    tx: TableReader,
    table: TableNumber,
    place: Buffer,
    key: Buffer,
  ): ReadonlySet<number> {
    if (table === TABLE.inodes || table === TABLE.orphans) return NOTHING;
    const ino = inodeOf(place);
    const fileset = filesetOf(place);
    const hiding = new Set<number>();
    for (const [at, state] of this.#statesOf(tx, fileset, ino)) {
      if (state === 'gone') hiding.add(at);
      else if (state !== 'absent' && table === TABLE.blocks) {
        if (this.hides(state, key)) hiding.add(at);
      }
    }
    return hiding;
  }
}
