/** What lies in a volume's tables, read from the store alone. */
import assert from 'node:assert/strict';
import { decodeInode } from '../../src/format/records/inode-record.js';
import { blockIndexOf, inodeOf, layerOf, placeOf, stepOf } from '../../src/format/records/keys.js';
import {
  ALLOCATOR,
  allocatorOf,
  TABLE,
  type TableNumber,
} from '../../src/format/records/tables.js';
import { deltaKeyOf } from '../../src/store/batch-order.js';
import type { TableReader } from '../../src/store/reader.js';
import { Inode } from '../../src/volume/inode.js';

export const VERSIONED: readonly TableNumber[] = [
  TABLE.inodes,
  TABLE.entries,
  TABLE.blocks,
  TABLE.attributes,
  TABLE.orphans,
];

/** Rule D2, both ways; and every record's layer exists. */
export function checkDelta(reader: TableReader): void {
  const places = new Set<string>();
  const layers = new Set<number>();
  for (const table of VERSIONED) {
    for (const { key } of reader.range(table, undefined, undefined, { keysOnly: true })) {
      places.add(deltaKeyOf(table, key).toString('hex'));
      layers.add(layerOf(table, key));
    }
  }
  const noted: string[] = [];
  for (const { key } of reader.range(TABLE.delta, undefined, undefined, { keysOnly: true })) {
    noted.push(key.toString('hex'));
  }
  assert.deepEqual(noted, [...places].sort(), 'D2: the delta map is the set of places');
  const known = new Set(layerNumbers(reader));
  for (const layer of layers) assert.ok(known.has(layer), `layer ${layer} of a record exists`);
}

export function layerNumbers(reader: TableReader): number[] {
  const layers = reader.range(TABLE.layers, undefined, undefined, { keysOnly: true });
  return [...layers].map(({ key }) => key.readUIntBE(0, 6));
}

export function countRecords(reader: TableReader, table: TableNumber): number {
  return [...reader.range(table, undefined, undefined, { keysOnly: true })].length;
}

export interface Version {
  table: TableNumber;
  key: Buffer;
  value: Buffer;
  place: string;
  layer: number;
  step: number;
}

interface LayerRecord {
  parent: number;
  state: string;
}

/**
 * Rule D13, computed from the store alone: the records of sealed layers
 * without a name that no kept top (snapshot or open layer) reads.
 */
export function garbage(reader: TableReader, blockSize: number): string[] {
  const layers = new Map<number, LayerRecord>();
  for (const { key, value } of reader.range(TABLE.layers, undefined, undefined)) {
    layers.set(key.readUIntBE(0, 6), JSON.parse(value.toString()) as LayerRecord);
  }
  const tops = new Set([...layers].filter(([, l]) => l.state === 'open').map(([n]) => n));
  for (const { value } of reader.range(TABLE.snapshots, undefined, undefined)) {
    tops.add((JSON.parse(value.toString()) as { layer: number }).layer);
  }
  // What a branch was forked from stays, too.
  const from = Buffer.from('branch/');
  for (const { value } of reader.range(TABLE.meta, from, Buffer.from('branch0'))) {
    tops.add((JSON.parse(value.toString()) as { fork: number }).fork);
  }
  // And what was merged.
  const merges = reader.get(TABLE.meta, Buffer.from('merges'));
  if (merges !== undefined) {
    for (const { from } of JSON.parse(merges.toString()) as { from: number }[]) tops.add(from);
  }
  const versions = allVersions(reader);
  const needed = new Set<Version>();
  for (const top of tops) {
    const path = new Set<number>();
    for (let n = top; n !== 0; n = layers.get(n)?.parent ?? 0) path.add(n);
    for (const version of seenFrom(path, versions, blockSize)) needed.add(version);
  }
  return versions
    .filter((v) => layers.get(v.layer)?.state === 'sealed' && !tops.has(v.layer) && !needed.has(v))
    .map((v) => `table ${v.table} layer ${v.layer} step ${v.step} of ${v.place}`);
}

/** Newest first within a place, as the keys are. */
export function allVersions(reader: TableReader): Version[] {
  const versions: Version[] = [];
  for (const table of VERSIONED) {
    for (const { key, value } of reader.range(table, undefined, undefined)) {
      const place = `${table} ${placeOf(table, key).toString('hex')}`;
      const step = table === TABLE.blocks ? stepOf(key) : 0;
      versions.push({ table, key, value, place, layer: layerOf(table, key), step });
    }
  }
  return versions;
}

export function seenFrom(
  path: ReadonlySet<number>,
  versions: readonly Version[],
  blockSize: number,
): Version[] {
  const seen: Version[] = [];
  const inodes = new Map<number, Inode | 'gone'>();
  let last = '';
  for (const version of versions) {
    if (version.place === last || !path.has(version.layer)) continue;
    last = version.place;
    seen.push(version);
    if (version.table !== TABLE.inodes) continue;
    const ino = inodeOf(version.key);
    const inode = new Inode(ino);
    inodes.set(ino, decodeInode(version.value, inode, () => 'scan') ? inode : 'gone');
  }
  return seen.filter(({ table, key, layer, step }) => {
    if (table === TABLE.inodes || table === TABLE.orphans) return true;
    const ino = inodeOf(key);
    const inode = inodes.get(ino);
    // Without a record: an untouched base file, or an inode that was made and lost in one layer.
    if (inode === undefined) return allocatorOf(ino) !== ALLOCATOR.local;
    if (inode === 'gone') return false;
    if (table !== TABLE.blocks) return true;
    const offset = blockIndexOf(key) * blockSize;
    const isOlder = (clip: { layer: number; step: number }): boolean =>
      layer < clip.layer || (layer === clip.layer && step < clip.step);
    return !inode.clips.some((clip) => clip.size <= offset && isOlder(clip));
  });
}
