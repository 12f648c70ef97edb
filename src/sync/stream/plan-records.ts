/**
 * The content of a stream, as plans: records, and blocks whose bytes are read
 * only when they are sent. Common to full and incremental streams.
 *
 * What must hold: the plans of two snapshots are the same however often and
 * whenever they are made, so that an interrupted stream can resume by counting.
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
/** Bytes of a block's record besides its data. */
const BLOCK_RECORD_BYTES = 11;

export type PlannedRecord =
  | StreamRecord
  /** Read when it is sent. Becomes no record if the stored value says that there is nothing. */
  | { kind: 'stored-block'; inode: Inode; index: number; version: BlockVersion }
  /** A block; a hole when it has only zeros. */
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
 * `withInodes`: the caller will ask for their inodes.
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
      // Names with the same hash stay together: the next piece begins after them.
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

/** What belongs to an inode besides its record and its names, in one view. */
export class Contents {
  readonly #bare: InodeGaps;

  constructor(
    readonly volume: ReadableVolume,
    readonly view: View,
    /** Blocks of whole files are summed up, not looked up. */
    readonly isEstimate: boolean,
  ) {
    this.#bare = gapsOfTable(volume.store, TABLE.attributes, view.fileset);
  }

  /** All xattrs, in the order of their names. */
  *attributes(inode: Inode): Generator<StreamRecord> {
    const { volume, view } = this;
    // Only the host knows the xattrs of a base file.
    if (inode.base === undefined && this.#bare.has(inode.ino)) return;
    for (const name of volume.listAttributes(view, inode).sort()) {
      const value = volume.readAttribute(view, inode, name);
      if (value !== undefined) yield { kind: 'attribute', name, value: Buffer.from(value) };
    }
  }

  /** The data blocks at or above `first`, ascending; the gaps between them are holes. */
  *blocks(inode: Inode, first = 0): Generator<PlannedRecord> {
    const { volume, view } = this;
    const { blockSize } = volume.options;
    // A file with less space than bytes is sparse, or comes from a host that needs less space.
    const isWhole = inode.base === undefined && inode.allocated >= inode.size;
    if (this.isEstimate && first === 0 && isWhole) {
      yield { kind: 'data', inode };
      return;
    }
    const end = Math.ceil(inode.size / blockSize);
    let at = first;
    while (at < end) {
      // Looking up a few blocks is as fast as finding the first of them.
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

/** Undefined: there is no data. */
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

/**
 * Whether the plan becomes a record. Blocks that the collector has removed, or will remove, give
 * none.
 */
export function isTold(plan: PlannedRecord): boolean {
  return plan.kind !== 'stored-block' || !plan.version.isHole;
}

/**
 * Reads the content of a plan; undefined: no record. Throws CorruptionError, EIO when the base has
 * changed.
 */
export function readPlanned(
  volume: ReadableVolume,
  view: View,
  plan: PlannedRecord,
): StreamRecord | undefined {
  if (plan.kind === 'data') return undefined;
  if (plan.kind !== 'stored-block' && plan.kind !== 'base-block') return plan;
  const { inode, index } = plan;
  const { blockSize } = volume.options;
  // Zeros follow the base's own end, and a restore may cut them off: the block is the base's before
  // and after.
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

/** Number of records that the plan becomes, and their bytes in the stream: upper bounds. */
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
