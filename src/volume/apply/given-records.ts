/**
 * The records of a file that the tree made, over all layers: those that have
 * given its bytes to the base (rule G1), and those above them. And the blocks
 * that the collector is to look at afterwards.
 */
import { decodeInode, isGivenRecord } from '../../format/records/inode-record.js';
import {
  afterKey,
  blockKey,
  decodeDeltaKey,
  deltaPrefix,
  inodeKey,
  inodeOf,
  inodePlace,
  layerOf,
  prefixEnd,
  reapKey,
} from '../../format/records/keys.js';
import type { Given } from '../../format/given.js';
import {
  ALLOCATOR,
  BASE_LAYER,
  INODE_LIMIT,
  inodeNumber,
  isBaseNumber,
  MAX_LAYER,
  MAX_STEP,
  ROOT_FILESET,
  TABLE,
} from '../../format/records/tables.js';
import { isStatOf } from '../../base/base-stat.js';
import { REAP_GIVEN } from '../files/file-data.js';
import { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { Volume } from '../volume.js';
import type { Work } from '../../lib/work.js';

/** What one inode record is counted with. */
export const RECORD_BYTES = 220;

/** Records read between two pauses. */
const AT_ONCE = 256;
/** Numbers of files that the tree made. */
const RANGES = [
  [inodeNumber(ALLOCATOR.local, 0), inodeNumber(ALLOCATOR.local + 1, 0)],
  [inodeNumber(ALLOCATOR.baseids + 1, 0), INODE_LIMIT],
] as const;

/** Calls `visit` with each file of which a stored record has given its bytes, in ascending order. */
export function* eachGiven(volume: ReadableVolume, visit: (ino: number) => Work<void>): Work<void> {
  if (!volume.catalog.mayHaveGiven) return;
  for (const [first, last] of RANGES) {
    const end = inodeKey(ROOT_FILESET, last, MAX_LAYER);
    let told = 0;
    for (let from = inodeKey(ROOT_FILESET, first, MAX_LAYER); ; ) {
      const found: number[] = [];
      let seen = 0;
      let next: Buffer | undefined;
      for (const { key, value } of volume.store.range(TABLE.inodes, from, end, {
        limit: AT_ONCE,
      })) {
        if (isGivenRecord(value)) found.push(inodeOf(key));
        if (++seen === AT_ONCE) next = afterKey(key);
      }
      for (const ino of found) {
        if (ino !== told) yield* visit(ino);
        told = ino;
      }
      yield undefined;
      if (next === undefined) break;
      from = next;
    }
  }
}

/** By layer, as of now: also what is not stored yet. null: gone. Throws CorruptionError. */
export function recordsOf(volume: ReadableVolume, ino: number): Map<number, Inode | null> {
  const found = new Map<number, Inode | null>();
  const place = inodePlace(ROOT_FILESET, ino);
  for (const { key, value } of volume.store.range(TABLE.inodes, place, prefixEnd(place))) {
    const inode = new Inode(ino);
    const layer = layerOf(TABLE.inodes, key);
    const isThere = decodeInode(value, inode, () => `inode ${ino} in layer ${layer}`);
    inode.layer = layer;
    found.set(layer, isThere ? inode : null);
  }
  const { open, closing } = volume.core;
  for (const txg of [closing, open]) {
    for (const { layer, inodes, droppedInodes } of txg?.layers.values() ?? []) {
      const own = inodes.get(ino);
      if (own === undefined) continue;
      if (own === null && droppedInodes.has(ino)) found.delete(layer);
      else found.set(layer, own);
    }
  }
  return found;
}

/** Layers of which one is on the path of the other: views of `above` see what is in `below`. */
export function isAtOrAbove(volume: ReadableVolume, above: number, below: number): boolean {
  if (!volume.layers.has(above)) return false;
  return above === below || (above > below && volume.layers.path(above).includes(below));
}

/** Files that have blocks in a layer, in ascending order. */
export function* inodesWithBlocks(volume: ReadableVolume, layer: number): Generator<number> {
  const prefix = deltaPrefix(layer, TABLE.blocks);
  const end = prefixEnd(prefix);
  const placeOfFirst = (ino: number): Buffer =>
    blockKey(ROOT_FILESET, ino, 0, MAX_LAYER, MAX_STEP).subarray(0, 12);
  for (let from = prefix; ; ) {
    const [found] = volume.store.range(TABLE.delta, from, end, { limit: 1, keysOnly: true });
    if (found === undefined) return;
    const ino = inodeOf(decodeDeltaKey(Buffer.from(found.key)).place);
    yield ino;
    if (ino + 1 >= INODE_LIMIT) return;
    from = Buffer.concat([prefix, placeOfFirst(ino + 1)]);
  }
}

/** The collector looks which blocks of the file views still read, in all layers below `top`. */
export function reapBlocks(volume: Volume, ino: number, top: number): void {
  for (const layer of volume.layers.path(top)) {
    if (layer === BASE_LAYER) continue;
    const places = Buffer.concat([deltaPrefix(layer, TABLE.blocks), inodePlace(ROOT_FILESET, ino)]);
    if (volume.store.seek(TABLE.delta, places, prefixEnd(places)) === undefined) continue;
    volume.putSystem(TABLE.reap, reapKey(ROOT_FILESET, ino, layer), Buffer.of(REAP_GIVEN));
  }
}

export interface GivenRecord {
  layer: number;
  given: Given;
  /** Bytes. */
  allocated: number;
}

/**
 * The records of which all others of the file that have given its bytes come: one, as long as no
 * branch has taken the place of their common layer.
 */
export function givenOf(volume: ReadableVolume, ino: number): GivenRecord[] {
  if (isBaseNumber(ino)) return [];
  const origins: GivenRecord[] = [];
  const ascending = [...recordsOf(volume, ino)].sort(([a], [b]) => a - b);
  for (const [layer, record] of ascending) {
    if (!record?.given) continue;
    if (origins.some((origin) => isAtOrAbove(volume, layer, origin.layer))) continue;
    origins.push({ layer, given: record.given, allocated: record.allocated });
  }
  return origins;
}

/** The base still has what was given. */
export function isThere({ base }: ReadableVolume, { ref }: Given): boolean {
  const stat = base?.lstat(ref.path);
  return base !== undefined && stat !== undefined && isStatOf(stat, ref, base.rootStat.device);
}
