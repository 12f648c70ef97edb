/**
 * One pass over all versions, inode by inode: the tables of inodes, names,
 * blocks and attributes are read beside each other, since their keys begin
 * alike. So memory does not grow with the volume, but for one inode's records
 * and one place's versions.
 *
 * Marks of removal (gone, whiteout, hole) are in no figure: they go when what
 * they hide has gone.
 */
import { uint32At, uint48At, uint64At } from '../../format/big-endian.js';
import { keyLayerAt, keyStepAt, PLACE_INODE_LENGTH } from '../../format/records/keys.js';
import { TABLE, type TableNumber, versionLength } from '../../format/records/tables.js';
import { keyOnlyBytes, type StoredRecords, storedRecords } from '../../store/stored-records.js';
import type { StoreReader } from '../../store/reader.js';
import { InodeHiding } from './hiding.js';
import type { LayerTour } from './layer-tour.js';
import { PlaceVersions, type Take } from './place-versions.js';

/** Versions of these lie below an inode; its own records come first. */
const BELOW = [TABLE.entries, TABLE.blocks, TABLE.attributes] as const;
export const SCANNED_TABLES: readonly TableNumber[] = [TABLE.inodes, ...BELOW];
/** Layer and table before the place, in a key of the delta map. */
const DELTA_PREFIX_BYTES = 7;
/** The fileset comes before it. */
const INODE_AT = 4;
const PROGRESS_RECORDS = 20_000;

export interface ScanParts {
  reader: StoreReader;
  tour: LayerTour;
  blockSize: number;
  /** Files that take their bytes back from the base (rule G6). */
  returning: ReadonlySet<number>;
  /** Versions that have the same readers, of one inode. */
  take: Take;
  /** All versions of an inode have been given out. */
  inodeDone: (fileset: number, ino: number) => void;
  onProgress: (done: number) => void;
}

interface Table {
  number: TableNumber;
  records: StoredRecords;
  fileset: number;
  /** Infinite: there are no more records. */
  ino: number;
  /** What the version takes of a key. */
  versionBytes: number;
}

export class SpaceScan {
  readonly #parts: ScanParts;
  readonly #inodes: Table;
  readonly #below: readonly Table[];
  readonly #hiding: InodeHiding;
  readonly #versions: PlaceVersions;
  /** The sizes are those in the file. */
  readonly isInFile: boolean;
  #done = 0;

  constructor(parts: ScanParts) {
    const { reader, tour, take } = parts;
    this.#parts = parts;
    const tables = SCANNED_TABLES.map((number) => openTable(reader, number));
    this.isInFile = tables.every(({ isInFile }) => isInFile);
    const [inodes, ...below] = tables;
    this.#inodes = inodes as Table;
    this.#below = below;
    this.#hiding = new InodeHiding((place) => tour.endOf(place));
    this.#versions = new PlaceVersions(tour, this.#hiding, take);
  }

  run(): void {
    const tables = [this.#inodes, ...this.#below];
    for (const table of tables) this.#next(table);
    for (;;) {
      const first = tables.reduce((a, b) => (isBefore(b, a) ? b : a));
      if (first.ino === Number.POSITIVE_INFINITY) return;
      this.#inode(first.fileset, first.ino);
    }
  }

  #inode(fileset: number, ino: number): void {
    this.#hiding.clear();
    this.#places(this.#inodes, fileset, ino);
    this.#hiding.sort();
    for (const table of this.#below) this.#places(table, fileset, ino);
    this.#parts.inodeDone(fileset, ino);
  }

  /** All versions in a table of one inode. */
  #places(table: Table, fileset: number, ino: number): void {
    const versions = this.#versions;
    /** The last place: its key, without the version. */
    let bytes: Buffer = EMPTY;
    let [start, end] = [0, 0];
    let layer = -1;
    while (table.ino === ino && table.fileset === fileset) {
      const { keyBytes, keyStart, keyEnd } = table.records;
      const placeEnd = keyEnd - table.versionBytes;
      const isSame =
        placeEnd - keyStart === end - start &&
        isSameRest(bytes, start, keyBytes, keyStart, end - start);
      if (!isSame) {
        versions.end();
        [bytes, start, end] = [keyBytes, keyStart, placeEnd];
        layer = -1;
        versions.begin(this.#offsetOf(table));
      }
      layer = this.#version(table, ino, layer);
      this.#next(table);
    }
    versions.end();
    versions.begin(undefined);
    versions.flush();
  }

  #offsetOf({ number, records }: Table): number | undefined {
    if (number !== TABLE.blocks) return undefined;
    const index = uint48At(records.keyBytes, records.keyStart + PLACE_INODE_LENGTH);
    return index * this.#parts.blockSize;
  }

  /** `newer`: the layer of the version before, at the same place. */
  #version({ number, records, versionBytes }: Table, ino: number, newer: number): number {
    const { keyBytes, keyStart, keyEnd } = records;
    const placeEnd = keyEnd - versionBytes;
    const layer = keyLayerAt(keyBytes, placeEnd);
    const place = this.#parts.tour.placeOf(layer);
    if (number === TABLE.inodes && place >= 0) {
      const isReturning = this.#parts.returning.has(ino);
      this.#hiding.add(ino, place, records.value(), isReturning);
    }
    const step = number === TABLE.blocks ? keyStepAt(keyBytes, keyEnd) : 0;
    // One entry of the delta map for all steps of a layer.
    const delta = layer === newer ? 0 : keyOnlyBytes(DELTA_PREFIX_BYTES + placeEnd - keyStart);
    const isMark = records.firstByte === 0;
    this.#versions.add(layer, place, step, isMark ? 0 : records.bytes + delta);
    return layer;
  }

  #next(table: Table): void {
    const { records } = table;
    if (++this.#done % PROGRESS_RECORDS === 0) this.#parts.onProgress(this.#done);
    if (!records.next()) {
      table.fileset = Number.POSITIVE_INFINITY;
      table.ino = Number.POSITIVE_INFINITY;
      return;
    }
    table.fileset = uint32At(records.keyBytes, records.keyStart);
    table.ino = uint64At(records.keyBytes, records.keyStart + INODE_AT);
  }
}

const EMPTY = Buffer.alloc(0);

/** Of two places of one inode. */
function isSameRest(a: Buffer, aStart: number, b: Buffer, bStart: number, length: number): boolean {
  for (let i = PLACE_INODE_LENGTH; i < length; i++) {
    if (a[aStart + i] !== b[bStart + i]) return false;
  }
  return true;
}

function openTable(reader: StoreReader, number: TableNumber): Table & { isInFile: boolean } {
  const records = storedRecords(reader, number);
  return {
    number,
    records,
    fileset: 0,
    ino: 0,
    versionBytes: versionLength(number),
    isInFile: records.isInFile,
  };
}

function isBefore(a: Table, b: Table): boolean {
  return a.fileset < b.fileset || (a.fileset === b.fileset && a.ino < b.ino);
}
