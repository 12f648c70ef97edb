/**
 * The space that a volume can still use, and its reservation.
 *
 * LMDB reports a full disk at commit, for the whole transaction. So the file's
 * blocks are allocated in advance (fallocate), and a txg is admitted only when
 * its worst case fits into them. What must hold: a transaction whose worst case
 * is at most `availableBytes` commits; one of at most `reserveBytes` more
 * (delete, restore, the collector) commits too.
 *
 * It lives in the writer's thread; the serving thread gets its states.
 */
import { fstatSync, ftruncateSync, type Stats, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ERRNO } from '../lib/errors.js';
import { DEFAULT_BLOCK_SIZE } from '../format/records/tables.js';
import { FALLOC_FL_KEEP_SIZE } from '../libc/constants.js';
import { fallocate, fstatfs } from '../libc/libc.js';
import type { StoreStats } from './env.js';
import { isOnBtrfs, isWrittenInPlace } from './in-place.js';
import { type Hole, lentBytes } from './lending.js';
import { type FreeRun, readFreeRuns, readMeta } from './mdb/file.js';
import { mergedRuns } from './mdb/runs.js';
import { DATA_FILE } from './open.js';

const MIB = 1024 * 1024;
const CHUNK_BYTES = 64 * MIB;
/** A volume that holds little is given little ahead. */
const SMALL_CHUNK_BYTES = 8 * MIB;
const MIN_RESERVE_BYTES = 4 * MIB;
export const MAX_RESERVE_BYTES = 64 * MIB;
const RESERVE_PART = 64;
/** Left for other users of the disk where blocks can't be allocated in advance. */
const UNRESERVED_MARGIN_BYTES = 8 * MIB;
/**
 * Left free where room is asked for before it is seen that the file has it (Btrfs): without any,
 * each write waits until the file system has looked for some.
 */
const UNTOUCHED_BYTES = 16 * MIB;
/** Pages that the last two transactions freed may still be read. */
const YOUNG_TRANSACTIONS = 2;
/** LMDB stops looking once it has this many free runs in memory. */
const MAX_RUNS = 20_000;
/** The file's block count includes blocks of the file system's own tree. */
const TREE_OVERHEAD_BYTES = 256 * 1024;
/** Smaller needs break up some of the runs. */
const RUNS_USABLE = 0.75;

const NO_FREE_PAGES = { usableBytes: 0, youngBytes: 0 };

export interface SpaceOptions {
  /** Upper bound of the size of `data.mdb`. */
  quotaBytes?: number;
  blockSize?: number;
}

/** All in bytes. Plain data. */
export interface SpaceState {
  /** What a transaction may use now. */
  availableBytes: number;
  /** What `ensure` could add to that. */
  growableBytes: number;
  /** What is kept for delete, restore and the collector. */
  reserveBytes: number;
  /**
   * What users may still use: the free pages and the possible growth of the
   * file, minus the reserve.
   */
  roomBytes: number;
  /** Not included in `roomBytes`: freed by the last transactions, usable after two more. */
  youngBytes: number;
  /** Pages in use. */
  usedBytes: number;
  /** Free pages inside the file, young ones included. */
  freeBytes: number;
  /** The file up to its last page, free pages included, without what is lent to the disk. */
  fileBytes: number;
  /** Given to the disk by `compact`: pages of the file that have no blocks. */
  lentBytes: number;
  /** What the file has on the disk and its pages in use don't need: free pages, and room ahead. */
  aheadBytes: number;
  diskFreeBytes: number;
  /** What of the disk users can have: as `df` counts, without the blocks that are root's. */
  diskBytes: number;
  quotaBytes?: number;
}

/** Of the volume's data: see SpaceState. */
function aheadBytes({ blocks }: Stats, usedBytes: number): number {
  return Math.max(0, blocks * 512 - usedBytes);
}

/**
 * Bytes of free pages that values of `runPages` pages can use, at least. Pages
 * freed after `newestTransaction` don't count.
 */
export function usableFreePages(
  runs: readonly FreeRun[],
  newestTransaction: number,
  runPages: number,
): number {
  const old = runs.filter(({ transaction }) => transaction <= newestTransaction).slice(0, MAX_RUNS);
  let usable = 0;
  for (const { pages } of mergedRuns(old)) usable += pages - (pages % runPages);
  return Math.floor(usable * RUNS_USABLE);
}

/** What is kept for delete, restore and the collector. Pure. */
function reserveBytes(whole: number): number {
  return Math.min(MAX_RESERVE_BYTES, Math.max(MIN_RESERVE_BYTES, Math.floor(whole / RESERVE_PART)));
}

/** What is known about the space of a volume that is not opened to be written; reads only. */
export function spaceWhenOpened(
  volumePath: string,
  stats: StoreStats,
  quotaBytes: number | undefined,
): Omit<SpaceState, 'availableBytes' | 'growableBytes' | 'youngBytes'> {
  const { bavail, bfree, bsize, blocks } = statfsSync(volumePath);
  const { lastPage, freePages, usedPages, pageBytes } = stats;
  const lent = lentBytes(stats);
  const fileBytes = (lastPage + 1) * pageBytes - lent;
  const growable = Math.min(bavail * bsize, (quotaBytes ?? Number.POSITIVE_INFINITY) - fileBytes);
  const room = Math.max(0, growable) + freePages * pageBytes;
  const reserve = reserveBytes(quotaBytes ?? blocks * bsize);
  const usedBytes = usedPages * pageBytes - lent;
  return {
    reserveBytes: reserve,
    roomBytes: Math.max(0, room - reserve),
    usedBytes,
    freeBytes: freePages * pageBytes,
    fileBytes,
    lentBytes: lent,
    aheadBytes: aheadBytes(statSync(join(volumePath, DATA_FILE)), usedBytes),
    diskFreeBytes: bavail * bsize,
    diskBytes: (blocks - bfree + bavail) * bsize,
    ...(quotaBytes !== undefined && { quotaBytes }),
  };
}

export class Space {
  readonly #fd: number;
  #options: SpaceOptions;
  readonly #oldestReader: () => number | undefined;
  #stats: StoreStats;
  /** The file has allocated blocks up to here. */
  #allocatedEnd: number;
  /** False where the file system has no fallocate, or where that promises nothing. */
  #canReserve: boolean;
  readonly #isOnBtrfs: boolean;
  /** Pages inside the file that are written again take room on the disk. */
  readonly #takesRoomAnew: boolean;
  /** What is there for transactions as `space` has seen it, the reserve included. */
  #heldBytes = 0;
  #freeOf: { transaction: number; usableBytes: number; youngBytes: number } | undefined;

  /**
   * `oldestReader`: the oldest state still read; called when free pages are counted. `holes`: what
   * is lent to the disk, in the order of the file.
   */
  constructor(
    fd: number,
    stats: StoreStats,
    options: SpaceOptions,
    oldestReader: () => number | undefined,
    holes: readonly Hole[] = [],
  ) {
    this.#fd = fd;
    this.#isOnBtrfs = isOnBtrfs(this.#fd);
    this.#takesRoomAnew = !isWrittenInPlace(this.#fd);
    this.#canReserve = !this.#takesRoomAnew;
    this.#options = options;
    this.#oldestReader = oldestReader;
    this.#stats = stats;
    this.#allocatedEnd = this.#fileEnd;
    if (this.#takesRoomAnew) return;
    // A killed writer may have left blocks behind the file's end: they are still there. And pages
    // that LMDB skipped have no blocks yet.
    const lent = lentBytes(stats);
    const kept = fstatSync(this.#fd).blocks * 512 + lent - TREE_OVERHEAD_BYTES;
    const end = Math.min(kept - (kept % stats.pageBytes), (options.quotaBytes ?? kept) + lent);
    if (end > this.#fileEnd && this.#allocateAround(holes, end)) this.#allocatedEnd = end;
    else this.#allocateAround(holes, this.#fileEnd);
  }

  /** Everything up to `end` but the holes. False: not all of it. */
  #allocateAround(holes: readonly Hole[], end: number): boolean {
    let at = 0;
    for (const { offset, length } of holes) {
      if (offset > at && !this.#allocate(at, offset - at)) return false;
      at = offset + length;
    }
    return at >= end || this.#allocate(at, end - at);
  }

  #allocate(offset: number, length: number): boolean {
    const answer = fallocate(this.#fd, FALLOC_FL_KEEP_SIZE, offset, length);
    if (answer === -ERRNO.EOPNOTSUPP || answer === -ERRNO.ENOSYS) this.#canReserve = false;
    return answer === 0;
  }

  get stats(): StoreStats {
    return this.#stats;
  }

  get #fileEnd(): number {
    return (this.#stats.lastPage + 1) * this.#stats.pageBytes;
  }

  get #reserveBytes(): number {
    return reserveBytes(this.#options.quotaBytes ?? this.#disk().totalBytes);
  }

  /** `freeBytes`, `sizeBytes`: as `df` counts. */
  #disk(): { freeBytes: number; sizeBytes: number; totalBytes: number } {
    const space = fstatfs(this.#fd);
    if (typeof space === 'number') return { freeBytes: 0, totalBytes: 0, sizeBytes: 0 };
    const { blocks, blocksAvailable, blocksFree, blockSize } = space;
    return {
      freeBytes: blocksAvailable * blockSize,
      totalBytes: blocks * blockSize,
      sizeBytes: (blocks - blocksFree + blocksAvailable) * blockSize,
    };
  }

  /** What a file that can't have its blocks ahead leaves; pages that it writes again take some of that. */
  #marginBytes(diskBytes: number): number {
    if (!this.#takesRoomAnew) return UNRESERVED_MARGIN_BYTES;
    return Math.min(CHUNK_BYTES, UNRESERVED_MARGIN_BYTES + Math.floor(diskBytes / 8));
  }

  /** After every commit. */
  update(stats: StoreStats): void {
    this.#stats = stats;
    this.#allocatedEnd = Math.max(this.#allocatedEnd, this.#fileEnd);
  }

  space(): SpaceState {
    const { quotaBytes } = this.#options;
    const { pageBytes, usedPages, freePages } = this.#stats;
    const lent = lentBytes(this.#stats);
    // The quota is about what the file takes on the disk.
    const lastByte = quotaBytes === undefined ? undefined : quotaBytes + lent;
    const usedBytes = usedPages * pageBytes - lent;
    const disk = this.#disk();
    const reserveBytes = this.#reserveBytes;
    if (!this.#canReserve) {
      const end = this.#fileEnd + Math.max(0, disk.freeBytes - this.#marginBytes(disk.totalBytes));
      this.#allocatedEnd = Math.min(end, lastByte ?? end);
    }
    const most = this.#takesRoomAnew
      ? Math.max(0, disk.freeBytes - UNRESERVED_MARGIN_BYTES)
      : Number.POSITIVE_INFINITY;
    // The quota may have been lowered below what is allocated.
    const end = Math.min(this.#allocatedEnd, lastByte ?? this.#allocatedEnd);
    const tail = Math.max(0, end - this.#fileEnd);
    const diskBytes = disk.freeBytes - (this.#isOnBtrfs ? UNTOUCHED_BYTES : 0);
    const growable = this.#canReserve
      ? Math.max(0, Math.min(diskBytes, (lastByte ?? Infinity) - this.#allocatedEnd))
      : 0;
    // Counting free pages exactly costs a walk, so only when no other space is left.
    const isTight = growable < CHUNK_BYTES;
    const { usableBytes: free, youngBytes } = isTight ? this.#freePages() : NO_FREE_PAGES;
    const room = Math.min(most, tail + growable + (isTight ? free : freePages * pageBytes));
    this.#heldBytes = Math.min(most, tail + free);
    return {
      availableBytes: Math.max(0, this.#heldBytes - reserveBytes),
      growableBytes: growable,
      reserveBytes,
      roomBytes: Math.max(0, room - reserveBytes),
      youngBytes,
      usedBytes,
      freeBytes: freePages * pageBytes,
      fileBytes: this.#fileEnd - lent,
      lentBytes: lent,
      aheadBytes: aheadBytes(fstatSync(this.#fd), usedBytes),
      diskFreeBytes: disk.freeBytes,
      diskBytes: disk.sizeBytes,
      ...(quotaBytes !== undefined && { quotaBytes }),
    };
  }

  /** From now on; undefined: no limit. */
  setQuota(quotaBytes: number | undefined): void {
    const { quotaBytes: _before, ...rest } = this.#options;
    this.#options = { ...rest, ...(quotaBytes !== undefined && { quotaBytes }) };
  }

  #freePages(): { usableBytes: number; youngBytes: number } {
    const { lastTransaction, pageBytes } = this.#stats;
    if (this.#freeOf?.transaction === lastTransaction) return this.#freeOf;
    const meta = readMeta(this.#fd);
    if (meta === undefined) return NO_FREE_PAGES;
    const blockBytes = this.#options.blockSize ?? DEFAULT_BLOCK_SIZE;
    const runPages = Math.ceil((blockBytes + 32) / pageBytes);
    const held = this.#oldestReader() ?? Number.POSITIVE_INFINITY;
    const oldEnough = Math.min(meta.transaction - YOUNG_TRANSACTIONS, held - 1);
    const runs = readFreeRuns(this.#fd, meta);
    const usableBytes = usableFreePages(runs, oldEnough, runPages) * pageBytes;
    const young = runs.filter(({ transaction }) => transaction > oldEnough);
    const youngBytes = young.reduce((sum, { pages }) => sum + pages, 0) * pageBytes;
    this.#freeOf = { transaction: lastTransaction, usableBytes, youngBytes };
    return this.#freeOf;
  }

  /**
   * Allocates blocks in advance, so that a transaction may use `bytes`, as far
   * as disk and quota allow.
   */
  ensure(bytes: number): SpaceState {
    const state = this.space();
    if (state.availableBytes >= bytes || !this.#canReserve || state.growableBytes === 0)
      return state;
    const missing = bytes + state.reserveBytes - this.#heldBytes;
    const ahead = Math.min(CHUNK_BYTES, Math.max(SMALL_CHUNK_BYTES, state.usedBytes / 2));
    for (const more of [missing + ahead, missing + ahead / 8, missing]) {
      if (this.#grow(Math.min(more, state.growableBytes))) return this.space();
    }
    // The file system's own metadata takes some of the last bytes of a disk.
    for (let part = state.growableBytes; part >= MIB; part = Math.floor(part * 0.75)) {
      if (this.#grow(part)) break;
    }
    return this.space();
  }

  #grow(bytes: number): boolean {
    const whole = Math.floor(bytes / this.#stats.pageBytes) * this.#stats.pageBytes;
    if (whole === 0 || !this.#canReserve) return false;
    if (!this.#allocate(this.#allocatedEnd, whole)) return false;
    this.#allocatedEnd += whole;
    return true;
  }

  /** Gives the blocks behind the end of the file back. */
  releaseTail(): void {
    ftruncateSync(this.#fd, fstatSync(this.#fd).size);
    this.#allocatedEnd = this.#fileEnd;
  }
}
