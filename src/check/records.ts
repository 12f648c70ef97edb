/**
 * Checks every record by itself: keys and values decode, checksums are right,
 * layers exist, counters are above every number in use. Checks rule D2, the
 * delta map against the versions. One pass over each table; memory is constant.
 */
import { INODE_LIMIT } from '../format/records/tables.js';
import { decodeInode, isLostRecord, isStoredRecord } from '../format/records/inode-record.js';
import {
  decodeDeltaKey,
  deltaKey,
  entryHashOf,
  entryNameOf,
  filesetOf,
  inodeKey,
  inodeOf,
  layerOf,
  placeOf,
  blockIndexOf,
  xattrNameOf,
  versionedKey,
} from '../format/records/keys.js';
import { nameHash } from '../format/records/name-hash.js';
import {
  ALLOCATOR,
  allocatorOf,
  BASE_LAYER,
  COUNTER_BITS,
  isVersioned,
  MAX_FILE_SIZE,
  MAX_NAME_LENGTH,
  MAX_STEP,
  TABLE,
  TABLE_NAMES,
  type TableNumber,
} from '../format/records/tables.js';
import {
  BLOCK_HEADER_LENGTH,
  BLOCK_HOLE,
  blockBytes,
  decodeAttribute,
  decodeEntry,
} from '../format/records/values.js';
import type { Entry, StoreReader } from '../store/reader.js';
import type { CheckedCatalog } from './catalog.js';
import { type CheckState, shownBytes } from './report.js';
import { REAP_ALL, REAP_CLIPPED, REAP_GIVEN } from '../volume/files/file-data.js';
import { Inode } from '../volume/inode.js';

export const VERSIONED_TABLES: readonly TableNumber[] = [
  TABLE.inodes,
  TABLE.entries,
  TABLE.blocks,
  TABLE.attributes,
  TABLE.orphans,
];

/** Length of a place in bytes, in the tables where it is fixed. */
const PLACE_LENGTHS: Readonly<Record<number, number>> = {
  [TABLE.inodes]: 12,
  [TABLE.blocks]: 18,
  [TABLE.orphans]: 12,
};

export interface RecordCheckOptions {
  /** Also read every block's bytes. */
  deep: boolean;
  /** False: the tree of this table is damaged; its records are not read. */
  isReadable(table: TableNumber): boolean;
}

export class RecordCheck {
  /** The largest counter of each allocator found in a record. */
  readonly #counters = new Map<number, number>();

  constructor(
    readonly reader: StoreReader,
    readonly catalog: CheckedCatalog,
    readonly state: CheckState,
    readonly options: RecordCheckOptions,
  ) {}

  run(): void {
    const { isReadable } = this.options;
    const deltaIsReadable = isReadable(TABLE.delta);
    let places = 0;
    for (const table of VERSIONED_TABLES) {
      if (!isReadable(table)) continue;
      this.state.guard('store', TABLE_NAMES[table - 1] as string, () => {
        places += this.#table(table, deltaIsReadable);
      });
    }
    if (deltaIsReadable) this.state.guard('D2', 'delta', () => this.#delta(places));
    if (isReadable(TABLE.baseids)) this.state.guard('store', 'baseids', () => this.#baseIds());
    if (isReadable(TABLE.reap)) this.state.guard('store', 'reap', () => this.#reap());
    if (isReadable(TABLE.lent)) this.state.guard('store', 'lent', () => this.#lent());
    this.#checkCounters();
  }

  /** Returns the number of distinct (layer, place). */
  #table(table: TableNumber, deltaIsReadable: boolean): number {
    let places = 0;
    let lastPlace: Buffer | undefined;
    let lastLayer = -1;
    const keysOnly = table === TABLE.blocks && !this.options.deep;
    for (const entry of this.reader.range(table, undefined, undefined, { keysOnly })) {
      this.state.tick();
      this.state.counted.records++;
      const { key } = entry;
      if (!this.#checkKey(table, key)) continue;
      const place = placeOf(table, key);
      const layer = layerOf(table, key);
      const isSame = layer === lastLayer && lastPlace?.equals(place) === true;
      if (!isSame) {
        places++;
        if (deltaIsReadable && !this.reader.has(TABLE.delta, deltaKey(layer, table, place))) {
          this.state.add('D2', 'the delta map lacks the record', describe(table, place, layer));
        }
      }
      lastPlace = place;
      lastLayer = layer;
      if (!keysOnly) this.#checkValue(table, entry, describe(table, place, layer));
    }
    return places;
  }

  #checkKey(table: TableNumber, key: Buffer): boolean {
    const bad = (what: string): boolean => {
      this.state.add('format', what, `${TABLE_NAMES[table - 1]} key ${key.toString('hex')}`);
      return false;
    };
    const problem = placeProblem(table, key.length > 10 ? placeOf(table, key) : Buffer.alloc(0));
    if (problem !== undefined) return bad(problem);
    const place = placeOf(table, key);
    const layer = layerOf(table, key);
    this.#noteInode(inodeOf(place));
    if (!this.catalog.filesets.has(filesetOf(place))) return bad('the fileset does not exist');
    const record = this.catalog.layers.get(layer);
    if (record === undefined) {
      this.state.add('D1', `the layer ${layer} does not exist`, describe(table, place, layer));
    } else if (record.fileset !== filesetOf(place)) {
      this.state.add('D1', 'the layer is of another fileset', describe(table, place, layer));
    }
    return true;
  }

  #checkValue(table: TableNumber, { key, value }: Entry, where: string): void {
    this.state.guard('format', where, () => {
      switch (table) {
        case TABLE.inodes: {
          const inode = new Inode(inodeOf(key));
          decodeInode(value, inode, () => 'inode');
          const problem = this.#storedProblem(inode, filesetOf(key));
          if (problem !== undefined) this.state.add('A9', problem, where);
          if (this.catalog.isFrozen && this.#isUnstored(inode, filesetOf(key))) {
            this.state.add('A12', 'the volume is frozen, and this is read from the base', where);
          }
          break;
        }
        case TABLE.entries: {
          const { ino, type } = decodeEntry(value, () => 'entry');
          this.#noteInode(ino);
          if (ino !== 0 && (type === 0 || type > 15)) {
            this.state.add('format', `the file type is ${type}`, where);
          }
          break;
        }
        case TABLE.blocks: {
          const bytes = blockBytes(value, 'block');
          const blockSize = this.catalog.options?.blockSize ?? Number.POSITIVE_INFINITY;
          if (bytes !== undefined && bytes.length > blockSize) {
            this.state.add('format', `the block has ${bytes.length} bytes`, where);
          }
          if (value.readUIntBE(1, 3) !== 0) this.state.add('format', 'bytes 1–3 are not 0', where);
          if (value[0] === BLOCK_HOLE && value.length !== BLOCK_HEADER_LENGTH) {
            this.state.add('format', 'a hole has bytes', where);
          }
          break;
        }
        case TABLE.attributes:
          decodeAttribute(value, 'attribute');
          break;
        default:
          // No checksum: the inode of an orphan says the same (views.ts).
          if (value.length !== 1 || (value[0] as number) > 1) {
            this.state.add('format', 'the value is neither orphan nor reaped', where);
          }
      }
    });
  }

  /** A record may say that the base has nothing of the file only if the base layer's does. */
  #storedProblem({ ino, base }: Inode, fileset: number): string | undefined {
    if (base?.isStored !== true) return undefined;
    const value = this.reader.get(TABLE.inodes, inodeKey(fileset, ino, BASE_LAYER));
    if (value !== undefined && isStoredRecord(value)) return undefined;
    return 'it says that the base has nothing of it, and the base layer does not';
  }

  /** It is read from the base. */
  #isUnstored({ ino, base }: Inode, fileset: number): boolean {
    if (base === undefined || base.isStored === true) return false;
    const value = this.reader.get(TABLE.inodes, inodeKey(fileset, ino, BASE_LAYER));
    return value === undefined || !(isStoredRecord(value) || isLostRecord(value));
  }

  /**
   * Every version was found in the delta map. So when both counts are equal,
   * the delta map has nothing more; else it is walked for entries without a
   * version.
   */
  #delta(places: number): void {
    const entries = this.reader.stats().tables[TABLE.delta]?.records ?? 0;
    this.state.counted.deltaEntries = entries;
    if (places === entries && this.state.count === 0) return;
    for (const { key } of this.reader.range(TABLE.delta, undefined, undefined, {
      keysOnly: true,
    })) {
      const where = `delta key ${key.toString('hex')}`;
      if (key.length < 8 || !isVersioned(key[6] as TableNumber) || key[6] === 0) {
        this.state.add('D2', 'the key is not a place of a versioned table', where);
        continue;
      }
      const { layer, table, place } = decodeDeltaKey(key);
      const problem = placeProblem(table, place);
      if (problem !== undefined) this.state.add('D2', problem, where);
      else if (this.options.isReadable(table) && !this.#hasVersion(table, place, layer)) {
        this.state.add('D2', 'the delta map has a record that is not there', where);
      }
    }
  }

  #hasVersion(table: TableNumber, place: Buffer, layer: number): boolean {
    if (layer === 0) return false;
    const start = versionedKey(table, place, layer, MAX_STEP);
    const end = versionedKey(table, place, layer - 1, MAX_STEP);
    return this.reader.seek(table, start, end) !== undefined;
  }

  /** Numbers of base files that can't be derived (rule D10): each is used once. */
  #baseIds(): void {
    const given = new Set<number>();
    for (const { key, value } of this.reader.range(TABLE.baseids, undefined, undefined)) {
      const where = `baseids key ${key.toString('hex')}`;
      if (key.length !== 24 || value.length !== 8) {
        this.state.add('format', 'the record has a wrong length', where);
        continue;
      }
      const ino = Number(value.readBigUInt64BE(0));
      if (allocatorOf(ino) !== ALLOCATOR.baseids) {
        this.state.add('D10', `the number ${ino} is of another allocator`, where);
      }
      if (given.has(ino)) this.state.add('D6', `the number ${ino} is given twice`, where);
      given.add(ino);
      this.#noteInode(ino);
    }
  }

  /** The values are not read: they have no blocks. */
  #lent(): void {
    for (const { key } of this.reader.range(TABLE.lent, undefined, undefined, { keysOnly: true })) {
      if (key.length === 8 && key.readBigUInt64BE() > 0n) continue;
      this.state.add('N1', 'the key is no number from 1', `lent key ${key.toString('hex')}`);
    }
  }

  /** The collector's queue must not contain what is still in use (rule F5). */
  #reap(): void {
    for (const { key, value } of this.reader.range(TABLE.reap, undefined, undefined)) {
      if (key.length !== 18) {
        this.state.add('format', 'the key has a wrong length', `reap key ${key.toString('hex')}`);
        continue;
      }
      const ino = inodeOf(key);
      const layer = key.readUIntBE(12, 6);
      const where = `reap inode ${ino} layer ${layer}`;
      const what = value.length === 1 ? value[0] : undefined;
      if (what !== REAP_ALL && what !== REAP_CLIPPED && what !== REAP_GIVEN) {
        this.state.add('format', 'the value is not work for the collector', where);
      }
      if (layer === 0 || layer >= this.catalog.nextLayer) {
        this.state.add('F5', 'the layer was never given out', where);
      } else if (what === REAP_ALL && this.options.isReadable(TABLE.inodes)) {
        const place = key.subarray(0, 12);
        const record = this.reader.get(TABLE.inodes, versionedKey(TABLE.inodes, place, layer));
        if (record !== undefined && record[0] !== 0) {
          this.state.add('F5', 'an inode that is in use is to be emptied', where);
        }
      }
    }
  }

  #noteInode(ino: number): void {
    const allocator = allocatorOf(ino);
    const counter = ino - allocator * 2 ** COUNTER_BITS;
    if (counter > (this.#counters.get(allocator) ?? -1)) this.#counters.set(allocator, counter);
  }

  #checkCounters(): void {
    // Numbers of other volumes of the same history are counted in those volumes.
    const own = this.catalog.identity?.allocator ?? ALLOCATOR.local;
    for (const allocator of this.catalog.hasBase ? [own, ALLOCATOR.baseids] : [own]) {
      const next = this.catalog.nextInode[allocator] ?? 1;
      const used = this.#counters.get(allocator) ?? 0;
      if (used >= next) {
        const what = `the counter ${next} of allocator ${allocator} is not above ${used}`;
        this.state.add('D6', what, 'meta/nextInode');
      }
    }
    for (const allocator of this.#counters.keys()) {
      const isKnown = this.catalog.identity?.allocators[allocator] !== undefined;
      if (allocator > ALLOCATOR.baseids && !isKnown) {
        this.state.add('D6', `the allocator ${allocator} is unknown`, 'inodes');
      }
    }
  }
}

/** Why a place's bytes are invalid. */
function placeProblem(table: TableNumber, place: Buffer): string | undefined {
  const length = PLACE_LENGTHS[table];
  if (length !== undefined && place.length !== length) return 'the key has a wrong length';
  if (table === TABLE.entries) {
    if (place.length < 22 || place.at(-1) !== 0) return 'the key has no name';
    const name = entryNameOf(place);
    if (name.length > MAX_NAME_LENGTH || name === '.' || name === '..' || /[/\0]/.test(name)) {
      return 'the name is not a file name';
    }
    if (entryHashOf(place) !== nameHash(name)) return 'the hash is not the hash of the name';
  }
  if (table === TABLE.attributes) {
    if (place.length < 14 || place.at(-1) !== 0) return 'the key has no name';
    if (xattrNameOf(place).includes('\0')) return 'the name is not a valid xattr name';
  }
  const ino = inodeOf(place);
  if (ino === 0 || ino >= INODE_LIMIT) return `the inode number ${ino} can't be`;
  if (table === TABLE.blocks && blockIndexOf(place) * 4096 >= MAX_FILE_SIZE) {
    return 'the block lies beyond every file';
  }
  return undefined;
}

/** A record's place in words. */
export function describe(table: TableNumber, place: Buffer, layer: number): string {
  const ino = inodeOf(place);
  const in_ = `layer ${layer}`;
  switch (table) {
    case TABLE.entries:
      return `entries directory ${ino} name ${shownBytes(entryNameOf(place))} ${in_}`;
    case TABLE.blocks:
      return `blocks inode ${ino} block ${blockIndexOf(place)} ${in_}`;
    case TABLE.attributes:
      return `attributes inode ${ino} name ${shownBytes(xattrNameOf(place))} ${in_}`;
    default:
      return `${TABLE_NAMES[table - 1]} inode ${ino} ${in_}`;
  }
}
