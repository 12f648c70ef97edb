/**
 * What a stream will hold, as plans: records, and blocks whose bytes are read
 * only when they are sent. Common to full and incremental streams.
 *
 * What must hold: the plans of two snapshots are the same however often and
 * whenever they are made, so that an interrupted stream goes on by counting.
 */
import type { StreamLink, StreamRecord } from '../format/stream-records.js';
import type { Inode } from '../volume/inode.js';
import type { BlockSource } from '../volume/block-map.js';
import type { ReadableVolume } from '../volume/readable-volume.js';
import type { View } from '../volume/view.js';

/** Blocks looked up at a time. */
const PIECE_BLOCKS = 64;
/** Names read at a time. */
const PIECE_NAMES = 1024;

export type PlannedRecord =
  | StreamRecord
  /** A block or a hole: the record is read when it is sent. */
  | { kind: 'stored-block'; inode: Inode; index: number; key: Buffer }
  | { kind: 'base-block'; inode: Inode; index: number };

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

/** All attributes, in the order of their names. */
export function* attributes(
  volume: ReadableVolume,
  view: View,
  inode: Inode,
): Generator<StreamRecord> {
  for (const name of volume.listAttributes(view, inode).sort()) {
    const value = volume.readAttribute(view, inode, name);
    if (value !== undefined) yield { kind: 'attribute', name, value: Buffer.from(value) };
  }
}

export interface Listed {
  name: string;
  ino: number;
  type: number;
}

/** The names of a directory in the order of their hashes, read piece by piece. */
export function* names(volume: ReadableVolume, view: View, directory: Inode): Generator<Listed> {
  let last = 0;
  for (let isLast = false; !isLast; ) {
    const piece: Listed[] = [];
    isLast = true;
    volume.list(view, directory, last, (name, ino, type, hash) => {
      // Names of one hash stay together: the next piece begins after it.
      if (piece.length >= PIECE_NAMES && hash !== last) {
        isLast = false;
        return false;
      }
      piece.push({ name, ino, type });
      last = hash;
      return true;
    });
    yield* piece;
  }
}

/** The data blocks at or above `first`, ascending; what lies between is holes. */
export function* blocks(
  volume: ReadableVolume,
  view: View,
  inode: Inode,
  first = 0,
): Generator<PlannedRecord> {
  const { blockSize } = volume.options;
  const end = Math.ceil(inode.size / blockSize);
  let at = first;
  while (at < end) {
    at = volume.blocks.firstBlock(view, inode, at, 'data');
    if (at >= end) return;
    const last = Math.min(at + PIECE_BLOCKS, end) - 1;
    for (const [i, source] of volume.blocks.sources(view, inode, at, last).entries()) {
      const plan = planOf(inode, at + i, source);
      if (plan !== undefined) yield plan;
    }
    at = last + 1;
  }
}

/** Undefined: nothing is there. */
export function planOf(
  inode: Inode,
  index: number,
  source: BlockSource,
): PlannedRecord | undefined {
  if (source.where === 'stored') return { kind: 'stored-block', inode, index, key: source.key };
  if (source.where === 'base') return { kind: 'base-block', inode, index };
  return undefined;
}

/** Reads what a plan promises. Throws CorruptionError, EIO when the base has changed. */
export function readPlanned(volume: ReadableVolume, view: View, plan: PlannedRecord): StreamRecord {
  if (plan.kind !== 'stored-block' && plan.kind !== 'base-block') return plan;
  const { inode, index } = plan;
  const { blockSize } = volume.options;
  const length = Math.min(blockSize, inode.size - index * blockSize);
  if (plan.kind === 'stored-block') {
    const bytes = volume.blocks.storedBytes(inode, plan.key);
    if (bytes === undefined) return { kind: 'hole', index };
    return { kind: 'block', index, bytes: bytes.subarray(0, length) };
  }
  const bytes = Buffer.alloc(length);
  volume.read(view, inode, index * blockSize, length, bytes, 0);
  if (bytes.equals(Buffer.alloc(length))) return { kind: 'hole', index };
  return { kind: 'block', index, bytes };
}

/** Bytes that the plan takes in the stream, at most. */
export function plannedBytes(volume: ReadableVolume, plan: PlannedRecord): number {
  const { blockSize } = volume.options;
  switch (plan.kind) {
    case 'stored-block':
    case 'base-block':
      return 11 + Math.min(blockSize, plan.inode.size - plan.index * blockSize);
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
