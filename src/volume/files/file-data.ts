/**
 * File contents: read, write, truncate, punch, copy, seek (rules D3, D4). Offsets and
 * lengths are bytes. Reads take any view; changes work on the live one.
 *
 * Doors: block-map, file-data, stored-blocks, xattrs.
 */
import { copyBytes } from '../../lib/copy-bytes.js';
import { FsError } from '../../lib/errors.js';
import { WAITS } from '../../lib/wait-policy.js';
import { clipsAfterCut } from '../../format/given.js';
import { reapKey } from '../../format/records/keys.js';
import { MAX_FILE_SIZE, TABLE } from '../../format/records/tables.js';
import { BLOCK_HEADER_LENGTH } from '../../format/records/values.js';
import { type BlockMap, type BlockSource, COUNTED_BLOCKS, isData } from './block-map.js';
import type { Seat } from '../branches/branch.js';
import type { VolumeCore } from '../core.js';
import type { Inodes } from '../names/inode-reader.js';
import type { Inode } from '../inode.js';
import type { BlockChange } from '../commit/txg.js';
import { copyPart, type StoredBlock, type Waits } from './stored-blocks.js';
import type { View } from '../view.js';

/** Bytes a block's record costs besides its data. */
const BLOCK_RECORD_BYTES = 48;
const INODE_BYTES = 1024;
const COPY_BYTES = 1024 * 1024;
const NO_BYTES = Buffer.alloc(0);
const NOTHING_BELOW: Below = { isBase: false, hasData: false, length: 0 };

/** What the collector must do with an inode in a layer (format.md, table 7). */
export const REAP_ALL = 1;
export const REAP_CLIPPED = 2;
export const REAP_GIVEN = 3;

/** Files by inode number; offsets and lengths in bytes. */
export type Copied = [
  source: number,
  sourceOffset: number,
  target: number,
  targetOffset: number,
  length: number,
];

/** A block as it stands below a change. */
interface Below {
  isBase: boolean;
  hasData: boolean;
  /** Bytes of the block that are data, from its beginning. */
  length: number;
}

export class FileData {
  readonly #scratch: Buffer;

  constructor(
    readonly core: VolumeCore,
    readonly seat: Seat,
    readonly inodes: Inodes,
    readonly map: BlockMap,
  ) {
    this.#scratch = Buffer.alloc(core.options.blockSize);
  }

  /**
   * Fills out[outOffset…] and returns the count, short only at end of file. Throws WouldWait as
   * `waits` demands.
   */
  read(
    view: View,
    inode: Inode,
    offset: number,
    length: number,
    out: Buffer,
    outOffset: number,
    waits: Waits = WAITS,
  ): number {
    const end = Math.min(offset + length, inode.size);
    if (end <= offset) return 0;
    const { blockSize } = this.core.options;
    const first = Math.floor(offset / blockSize);
    const last = Math.floor((end - 1) / blockSize);
    const { stored } = this.map;
    stored.begin(view, inode, first, last);
    /** Bytes from … to of the file are part of block `index`; `bytes` are the block's bytes. */
    const put = (index: number, bytes: Buffer | undefined): void => {
      const start = index * blockSize;
      const from = Math.max(start, offset);
      const to = Math.min(start + blockSize, end);
      copyPart(bytes ?? NO_BYTES, from - start, out, outOffset + from - offset, to - from);
    };
    const given = (block: StoredBlock, value: Buffer): void =>
      put(block.index, stored.checked(inode, block, value));
    const sources = this.map.sources(view, inode, first, last, given);
    let at = offset;
    let i = 0;
    while (at < end) {
      const source = sources[i] as BlockSource;
      const blockStart = (first + i) * blockSize;
      const blockEnd = Math.min(blockStart + blockSize, end);
      if (source.where === 'base') {
        // One read fetches neighbouring base blocks.
        let run = i + 1;
        while (run < sources.length && sources[run]?.where === 'base') run++;
        const runEnd = Math.min((first + run) * blockSize, end);
        this.#readBase(inode, at, runEnd - at, out, outOffset + at - offset);
        at = runEnd;
        i = run;
        continue;
      }
      if (source.where === 'stored' && at === blockStart) {
        const count = Math.floor((end - at) / blockSize);
        const outAt = outOffset + at - offset;
        const read = stored.neighbours(inode, sources, i, count, out, outAt, waits);
        at += read * blockSize;
        i += read;
        if (read > 0) continue;
      }
      if (source.where === 'stored') {
        put(first + i, stored.bytes(inode, source, sources, i, waits));
      } else if (source.where !== 'given') {
        put(first + i, source.where === 'memory' ? source.bytes : undefined);
      }
      at = blockEnd;
      i++;
    }
    return end - offset;
  }

  #readBase(inode: Inode, offset: number, length: number, out: Buffer, outOffset: number): void {
    const { base, waits } = this.core;
    const end = Math.min(offset + length, this.map.baseEnd(inode));
    let got = 0;
    const ref = inode.bytesInBase;
    if (ref !== undefined && end > offset) {
      if (base === undefined) throw new FsError('EIO', 'read (the base is not here)', ref.path);
      got = base.read(ref, offset, end - offset, out, outOffset, waits);
    }
    if (got < length) out.fill(0, outOffset + got, outOffset + length);
  }

  /** A block of the live file; copies its bytes to `#scratch` if they are wanted. */
  #below(inode: Inode, index: number, isWanted: boolean): Below {
    const { map } = this;
    const { blockSize } = this.core.options;
    let length = 0;
    const keep = (bytes: Buffer | undefined): void => {
      length = Math.min(bytes?.length ?? 0, blockSize);
      if (bytes !== undefined) copyBytes(bytes, 0, length, this.#scratch, 0);
    };
    const given = (block: StoredBlock, value: Buffer): void =>
      keep(map.stored.checked(inode, block, value));
    const { live } = this.seat;
    const [source] = map.sources(live, inode, index, index, isWanted ? given : undefined);
    const isBase = source?.where === 'base';
    if (source === undefined || !isWanted) {
      return { isBase, hasData: source !== undefined && isData(source), length };
    }
    if (isBase) {
      const start = index * blockSize;
      length = Math.min(blockSize, map.baseEnd(inode) - start);
      this.#readBase(inode, start, length, this.#scratch, 0);
    } else if (source.where === 'memory') {
      keep(source.bytes);
    } else if (source.where === 'stored') {
      keep(map.stored.bytes(inode, source, [], 0, WAITS));
    }
    return { isBase, hasData: isData(source), length };
  }

  /**
   * Writes into the live file; returns the bytes written (all of them). `keepTimes`: mtime and
   * ctime stay.
   */
  write(ino: number, offset: number, data: Buffer, keepTimes = false): number {
    const end = offset + data.length;
    if (end > MAX_FILE_SIZE) throw new FsError('EFBIG', 'write');
    if (data.length === 0) return 0;
    const { blockSize } = this.core.options;
    const blocks = Math.ceil(end / blockSize) - Math.floor(offset / blockSize);
    this.core.admit(blocks + 1, INODE_BYTES, data.length + 2 * blockSize);
    const inode = this.inodes.forChange(ino);
    let done = 0;
    while (done < data.length) {
      const at = offset + done;
      const index = Math.floor(at / blockSize);
      const from = at - index * blockSize;
      const count = Math.min(blockSize - from, data.length - done);
      this.#writeBlock(inode, index, from, data, done, count);
      done += count;
    }
    if (end > inode.size) inode.size = end;
    inode.dataLayer = inode.layer;
    if (!keepTimes) this.touch(inode);
    return data.length;
  }

  /** Sets mtime and ctime to now. */
  touch(inode: Inode): void {
    const now = this.core.clock.now();
    inode.mtimeS = now.s;
    inode.mtimeNs = now.ns;
    inode.ctimeS = now.s;
    inode.ctimeNs = now.ns;
  }

  #writeBlock(
    inode: Inode,
    index: number,
    from: number,
    data: Buffer,
    dataFrom: number,
    count: number,
  ): void {
    const { files, since } = this.seat.changes();
    since?.blockBytes(inode.ino, index, files.get(inode.ino)?.get(index), from, from + count);
    const block = this.#blockForChange(inode, index, from, count);
    this.#reserve(block, from + count);
    if (from > block.length) {
      block.room.fill(0, BLOCK_HEADER_LENGTH + block.length, BLOCK_HEADER_LENGTH + from);
    }
    copyBytes(data, dataFrom, count, block.room, BLOCK_HEADER_LENGTH + from);
    if (from + count > block.length) block.length = from + count;
  }

  /** The open txg's copy of a block; reads it from below unless it is overwritten whole. */
  #blockForChange(inode: Inode, index: number, from: number, count: number): BlockChange {
    const { blockSize } = this.core.options;
    const blocks = this.seat.changes().file(inode.ino);
    const known = blocks.get(index);
    if (known !== undefined) {
      // Truncation has removed hidden blocks from the map: this one is valid.
      known.step = inode.step;
      if (known.hole) {
        known.hole = false;
        known.length = 0;
        inode.allocated += blockSize;
      }
      return known;
    }
    const start = index * blockSize;
    // Nothing is visible beyond the end of a file.
    const isWhole = from === 0 && (count === blockSize || start + count >= inode.size);
    const { isBase, hasData, length } =
      start >= inode.size ? NOTHING_BELOW : this.#below(inode, index, !isWhole);
    const block: BlockChange = {
      step: inode.step,
      hole: false,
      room: this.core.open.arena.alloc(BLOCK_HEADER_LENGTH + Math.max(length, from + count)),
      length,
    };
    copyBytes(this.#scratch, 0, length, block.room, BLOCK_HEADER_LENGTH);
    blocks.set(index, block);
    if (!hasData) inode.allocated += blockSize;
    // Only the host knows whether a base block has bytes: at most all of them are allocated now.
    else if (isBase) {
      const most = Math.ceil(inode.size / blockSize) * blockSize;
      inode.allocated = Math.max(inode.allocated, Math.min(inode.allocated + blockSize, most));
    }
    this.core.open.note(BLOCK_RECORD_BYTES);
    return block;
  }

  /** Room for `length` bytes; grows by doubling, so that appends cost O(1) a byte. */
  #reserve(block: BlockChange, length: number): void {
    const capacity = block.room.length - BLOCK_HEADER_LENGTH;
    if (length <= capacity) return;
    const wanted = Math.min(this.core.options.blockSize, Math.max(length, capacity * 2, 4096));
    const room = this.core.open.arena.alloc(BLOCK_HEADER_LENGTH + wanted);
    copyBytes(block.room, 0, BLOCK_HEADER_LENGTH + block.length, room, 0);
    block.room = room;
  }

  /** Sets the size. O(1) in the file's size, except for the partial last block. */
  truncate(inode: Inode, size: number): void {
    if (size > MAX_FILE_SIZE) throw new FsError('EFBIG', 'truncate');
    if (size < inode.size) this.#cut(inode, size);
    inode.size = size;
  }

  #cut(inode: Inode, size: number): void {
    const { core } = this;
    const { blockSize } = core.options;
    const blocks = this.seat.changes().files.get(inode.ino);
    const firstCut = Math.ceil(size / blockSize);
    const partial = size % blockSize;
    const partialIndex = Math.floor(size / blockSize);
    let kept: Buffer | undefined;
    if (partial > 0) {
      const { isBase, hasData, length } = this.#below(inode, partialIndex, true);
      if (hasData) kept = this.#scratch.subarray(0, Math.min(partial, length));
      // Until now it may have been a hole of the host.
      if (isBase) inode.allocated += blockSize;
    }
    if (blocks !== undefined) {
      const { since } = this.seat.changes();
      for (const [index, block] of [...blocks]) {
        if (index < firstCut) continue;
        since?.wholeBlock(inode.ino, index, block);
        blocks.delete(index);
      }
    }
    // A txg may hold several layers: only an inode born in this one has no versions below.
    const isOwn = core.isNew(inode.ino) && inode.birthLayer === inode.layer;
    const hasOlder = inode.base !== undefined || inode.dataLayer !== 0;
    if (hasOlder && !isOwn) this.#clip(inode, size, firstCut);
    if (kept !== undefined) {
      const block = this.#freshBlock(inode, partialIndex, kept.length);
      copyBytes(kept, 0, kept.length, block.room, BLOCK_HEADER_LENGTH);
      inode.dataLayer = inode.layer;
    }
    this.#recount(inode, firstCut);
  }

  /**
   * After a cut: counts the remaining blocks of a file that has few; for other files the number is
   * a bound.
   */
  #recount(inode: Inode, blocksLeft: number): void {
    const { blockSize } = this.core.options;
    const isSparse = inode.allocated < inode.size;
    inode.allocated = Math.min(inode.allocated, blocksLeft * blockSize);
    const isCounted = inode.bytesInBase === undefined;
    if (!isSparse || !isCounted || inode.allocated > COUNTED_BLOCKS * blockSize) return;
    inode.allocated = this.map.dataBlocks(this.seat.live, inode, blocksLeft) * blockSize;
  }

  /** Replaces the open txg's block by an empty one with room for `length`. */
  #freshBlock(inode: Inode, index: number, length: number): BlockChange {
    const room = this.core.open.arena.alloc(BLOCK_HEADER_LENGTH + length);
    const block: BlockChange = { step: inode.step, hole: false, room, length };
    this.#replace(inode.ino, index, block);
    return block;
  }

  #replace(ino: number, index: number, block: BlockChange): void {
    const changes = this.seat.changes();
    const blocks = changes.file(ino);
    changes.since?.wholeBlock(ino, index, blocks.get(index));
    blocks.set(index, block);
    this.core.open.note(BLOCK_RECORD_BYTES);
  }

  #clip(inode: Inode, size: number, firstCut: number): void {
    const step = inode.step + 1;
    const clips = clipsAfterCut(inode, { layer: inode.layer, step, size });
    if (clips === undefined) {
      for (const { index } of this.map.recorded(this.seat.live, inode, firstCut)) {
        this.#putHole(inode, index);
      }
      return;
    }
    inode.step = step;
    inode.clips = clips;
    if (inode.dataLayer === inode.layer) this.reap(inode.ino, inode.layer, REAP_CLIPPED);
  }

  #putHole(inode: Inode, index: number): void {
    const block = {
      step: inode.step,
      hole: true,
      room: Buffer.alloc(BLOCK_HEADER_LENGTH),
      length: 0,
    };
    this.#replace(inode.ino, index, block);
    inode.dataLayer = inode.layer;
  }

  /** Queues work for the collector. */
  reap(ino: number, layer: number, what: number): void {
    this.core.putSystem(TABLE.reap, reapKey(this.core.fileset, ino, layer), Buffer.of(what));
  }

  /** The range reads as zeros afterwards; whole blocks lose their space. */
  punch(inode: Inode, offset: number, length: number): void {
    const end = Math.min(offset + length, inode.size);
    if (end <= offset) return;
    if (end === inode.size) {
      // As if the file were cut there and extended again: O(1), whatever the length.
      this.#cut(inode, offset);
      return;
    }
    const { blockSize } = this.core.options;
    const first = Math.floor(offset / blockSize);
    const last = Math.floor((end - 1) / blockSize);
    const found = new Map<number, BlockSource>();
    for (const { index, source } of this.map.recorded(this.seat.live, inode, first, last + 1)) {
      found.set(index, source);
    }
    const baseBlocks = this.map.baseBlocks(inode);
    for (let index = first; index <= last && index < baseBlocks; index++) {
      if (!found.has(index)) found.set(index, { where: 'base' });
    }
    for (const [index, source] of found) {
      if (isData(source)) this.#punchBlock(inode, index, source, offset, end);
    }
  }

  #punchBlock(inode: Inode, index: number, source: BlockSource, offset: number, end: number): void {
    const { blockSize } = this.core.options;
    const start = index * blockSize;
    const from = Math.max(offset - start, 0);
    const count = Math.min(end - start, blockSize) - from;
    if (count < blockSize) {
      this.#writeBlock(inode, index, from, Buffer.alloc(count), 0, count);
      inode.dataLayer = inode.layer;
      return;
    }
    this.#putHole(inode, index);
    // A base block may already be a hole of the host. Too high a number is better than zero:
    // programs take a file without blocks for empty.
    if (source.where !== 'base') inode.allocated = Math.max(0, inode.allocated - blockSize);
  }

  /**
   * Copies between files of the live tree. Returns the bytes copied: fewer than `length` at the end
   * of the source.
   */
  copyRange(...what: Copied): number {
    const [from, fromOffset, to, toOffset, length] = what;
    const { live } = this.seat;
    const chunk = Buffer.alloc(Math.min(length, COPY_BYTES));
    let done = 0;
    while (done < length) {
      const source = this.inodes.get(live, from);
      if (source === undefined) throw new FsError('ESTALE', 'copy_file_range');
      const want = Math.min(chunk.length, length - done);
      const got = this.read(live, source, fromOffset + done, want, chunk, 0);
      if (got === 0) break;
      this.write(to, toOffset + done, chunk.subarray(0, got));
      done += got;
    }
    return done;
  }

  /**
   * First offset ≥ `offset` that is data (or a hole; the end of file is one).
   * Holes may be taken for data. Throws ENXIO.
   */
  seek(view: View, inode: Inode, offset: number, whence: 'data' | 'hole'): number {
    if (offset < 0 || offset >= inode.size) throw new FsError('ENXIO', 'lseek');
    // The file has as much space as bytes, so it has no holes: no look-up is needed, however large
    // it is.
    if (inode.allocated >= inode.size) return whence === 'data' ? offset : inode.size;
    const { blockSize } = this.core.options;
    const index = this.map.firstBlock(view, inode, Math.floor(offset / blockSize), whence);
    const found = Math.max(offset, index * blockSize);
    if (found < inode.size) return found;
    if (whence === 'data') throw new FsError('ENXIO', 'lseek');
    return inode.size;
  }
}
