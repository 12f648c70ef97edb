/**
 * What a stream will hold, as plans: records, and blocks whose bytes are read
 * only when they are sent. Common to full and incremental streams.
 *
 * What must hold: the plans of two snapshots are the same however often and
 * whenever they are made, so that an interrupted stream goes on by counting.
 */
import type { StreamLink, StreamRecord } from '../../format/wire/stream-records.js';
import { TABLE } from '../../format/records/tables.js';
import type { Inode } from '../../volume/inode.js';
import { gapsOfTable, type InodeGaps } from '../../volume/names/inode-gaps.js';
import type { BlockSource } from '../../volume/files/block-map.js';
import type { BlockVersion } from '../../volume/files/stored-blocks.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import type { View } from '../../volume/view.js';

/** Blocks looked up at a time. */
const PIECE_BLOCKS = 64;
/** Names read at a time. */
const PIECE_NAMES = 512;
/** Besides its bytes. */
const BLOCK_RECORD_BYTES = 11;

export type PlannedRecord =
  | StreamRecord
  /** Read when it is sent. Nothing, when what is stored says that nothing is there. */
  | { kind: 'stored-block'; inode: Inode; index: number; version: BlockVersion }
  /** A block, or a hole when it has only zeros. */
  | { kind: 'base-block'; inode: Inode; index: number }
  /** All blocks of a file, in an estimate. */
  | { kind: 'data'; inode: Inode };

export interface InodeParts {
  isNew: boolean;
  hasData: boolean;
  cut?: number | undefined;
  nlink: number;
  links: readonly StreamLink[];
  removed?: readonly StreamLink[];
}

export function inodeRecord(volume: ReadableVolume, inode: Inode, parts: InodeParts): StreamRecord {
  const { blockSize } = volume.options;
  const { isNew, hasData, cut, nlink, links, removed } = parts;
  // The host may have set more aside for a base file than its size.
  const most = Math.ceil(inode.size / blockSize) * blockSize;
  const { base, target } = inode;
  return {
    kind: 'inode',
    ino: inode.ino,
    isNew,
    hasData,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    rdev: inode.rdev,
    nlink,
    size: target === undefined ? inode.size : target.length,
    allocated: base === undefined ? inode.allocated : Math.min(inode.allocated, most),
    atime: { s: inode.atimeS, ns: inode.atimeNs },
    mtime: { s: inode.mtimeS, ns: inode.mtimeNs },
    ctime: { s: inode.ctimeS, ns: inode.ctimeNs },
    btime: { s: inode.btimeS, ns: inode.btimeNs },
    ...(cut !== undefined && { cut }),
    ...(target !== undefined && { target }),
    links: [...links],
    ...(removed !== undefined && { removed: [...removed] }),
  };
}

export function hasData(inode: Inode): boolean {
  return inode.isRegular && inode.size > 0 && (inode.dataLayer !== 0 || inode.base !== undefined);
}

export interface Listed {
  name: string;
  ino: number;
  type: number;
}

/**
 * The names of a directory in the order of their hashes, read piece by piece.
 * `withInodes`: their inodes will be asked for.
 */
export function* names(
  volume: ReadableVolume,
  view: View,
  directory: Inode,
  withInodes = false,
): Generator<Listed> {
  let last = 0;
  for (let isLast = false; !isLast; ) {
    const piece: Listed[] = [];
    isLast = true;
    const take = (name: string, ino: number, type: number, hash: number): boolean => {
      // Names of one hash stay together: the next piece begins after it.
      if (piece.length >= PIECE_NAMES && hash !== last) {
        isLast = false;
        return false;
      }
      piece.push({ name, ino, type });
      last = hash;
      return true;
    };
    volume.list(view, directory, last, take, withInodes);
    yield* piece;
  }
}

/** What belongs to an inode besides its record and its names, as one view shows it. */
export class Contents {
  readonly #bare: InodeGaps;

  constructor(
    readonly volume: ReadableVolume,
    readonly view: View,
    /** Blocks of whole files are summed up, not looked up. */
    readonly isEstimate: boolean,
  ) {
    this.#bare = gapsOfTable(volume.core.reader, TABLE.attributes, view.fileset);
  }

  /** All attributes, in the order of their names. */
  *attributes(inode: Inode): Generator<StreamRecord> {
    const { volume, view } = this;
    // Of a base file only the host knows.
    if (inode.base === undefined && this.#bare.has(inode.ino)) return;
    for (const name of volume.listAttributes(view, inode).sort()) {
      const value = volume.readAttribute(view, inode, name);
      if (value !== undefined) yield { kind: 'attribute', name, value: Buffer.from(value) };
    }
  }

  /** The data blocks at or above `first`, ascending; what lies between is holes. */
  *blocks(inode: Inode, first = 0): Generator<PlannedRecord> {
    const { volume, view } = this;
    const { blockSize } = volume.options;
    // With less room than bytes it is sparse, or comes from a host that needs less.
    const isWhole = inode.base === undefined && inode.allocated >= inode.size;
    if (this.isEstimate && first === 0 && isWhole) {
      yield { kind: 'data', inode };
      return;
    }
    const end = Math.ceil(inode.size / blockSize);
    let at = first;
    while (at < end) {
      // A few are as soon looked up as the first of them is found.
      if (end - at > PIECE_BLOCKS) at = volume.blocks.firstBlock(view, inode, at, 'data');
      if (at >= end) return;
      const last = Math.min(at + PIECE_BLOCKS, end) - 1;
      for (const [i, source] of volume.blocks.sources(view, inode, at, last).entries()) {
        const plan = planOf(inode, at + i, source);
        if (plan !== undefined) yield plan;
      }
      at = last + 1;
    }
  }
}

/** Undefined: nothing is there. */
export function planOf(
  inode: Inode,
  index: number,
  source: BlockSource,
): PlannedRecord | undefined {
  if (source.where === 'stored') {
    const { layer, step, isHole } = source;
    return { kind: 'stored-block', inode, index, version: { index, layer, step, isHole } };
  }
  if (source.where === 'base') return { kind: 'base-block', inode, index };
  return undefined;
}

/** Will it be a record? What the collector has cleared away and what it will are the same. */
export function isTold(plan: PlannedRecord): boolean {
  return plan.kind !== 'stored-block' || !plan.version.isHole;
}

/** Reads what a plan promises; undefined: no record. Throws CorruptionError, EIO when the base has changed. */
export function readPlanned(
  volume: ReadableVolume,
  view: View,
  plan: PlannedRecord,
): StreamRecord | undefined {
  if (plan.kind === 'data') return undefined;
  if (plan.kind !== 'stored-block' && plan.kind !== 'base-block') return plan;
  const { inode, index } = plan;
  const { blockSize } = volume.options;
  // Behind the base's own end are zeros, which a restore may cut off: the block is the base's before and after.
  const end =
    plan.kind === 'base-block' ? Math.min(inode.size, volume.blocks.baseEnd(inode)) : inode.size;
  const length = Math.min(blockSize, end - index * blockSize);
  if (plan.kind === 'stored-block') {
    const bytes = volume.blocks.stored.bytesOf(inode, plan.version);
    return bytes === undefined
      ? undefined
      : { kind: 'block', index, bytes: bytes.subarray(0, length) };
  }
  const bytes = Buffer.alloc(length);
  volume.read(view, inode, index * blockSize, length, bytes, 0);
  if (bytes.equals(Buffer.alloc(length))) return { kind: 'hole', index };
  return { kind: 'block', index, bytes };
}

/** How many records it becomes, and their bytes in the stream: at most so many. */
export function plannedSize(
  volume: ReadableVolume,
  plan: PlannedRecord,
): { records: number; bytes: number } {
  if (plan.kind !== 'data') return { records: 1, bytes: recordBytes(volume, plan) };
  const { size } = plan.inode;
  const records = Math.ceil(size / volume.options.blockSize);
  return { records, bytes: BLOCK_RECORD_BYTES * records + size };
}

function recordBytes(
  volume: ReadableVolume,
  plan: Exclude<PlannedRecord, { kind: 'data' }>,
): number {
  const { blockSize } = volume.options;
  switch (plan.kind) {
    case 'stored-block':
    case 'base-block':
      return BLOCK_RECORD_BYTES + Math.min(blockSize, plan.inode.size - plan.index * blockSize);
    case 'inode':
      return 150 + (plan.target?.length ?? 0);
    case 'attribute':
      return 6 + plan.name.length + (plan.value?.length ?? 0);
    case 'entry':
      return 11 + plan.name.length;
    default:
      return 9;
  }
}
