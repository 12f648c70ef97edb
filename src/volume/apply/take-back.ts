/**
 * Files that have given their bytes to the base take them back, before an apply
 * or a freeze changes or leaves the base files that have them (rules G5, G6 in
 * native-notes/format.md). Work in pieces.
 *
 * What must hold: no view reads anything differently at any time. The blocks are
 * stored first, where no view counts them yet; then all records of a file say at
 * once that they count. What was stored until then stays, whatever the collector
 * thinks of it.
 */
import type { Deferred } from '../../lib/deferred.js';
import { failpoint } from '../../lib/failpoints.js';
import { answerOf, type Work } from '../../lib/work.js';
import { clipsTakenBack } from '../../format/given.js';
import { blockKey } from '../../format/records/keys.js';
import { isBaseNumber, ROOT_FILESET, TABLE } from '../../format/records/tables.js';
import { BLOCK_HEADER_LENGTH, sealBlock } from '../../format/records/values.js';
import type { Given } from '../../format/given.js';
import { DIRECTORY_TYPE } from '../../lib/file-mode.js';
import { readMeta } from '../catalog.js';
import type { Inode } from '../inode.js';
import type { View } from '../view.js';
import type { Volume } from '../volume.js';
import type { ApplyPlan } from './plan.js';
import type { Slots } from './slots.js';
import {
  type GivenRecord,
  givenOf,
  isAtOrAbove,
  isThere,
  reapBlocks,
  RECORD_BYTES,
  recordsOf,
} from './given-records.js';

const RETURNING_META = 'returning';
/** Files taken back at a time. */
const FILES_AT_ONCE = 64;
const PIECE_BLOCKS = 8;

interface Origin extends GivenRecord {
  ino: number;
}

export class TakingBack {
  storedBytes = 0;

  /** `pause` settles after a little while: the writer is behind. */
  constructor(
    readonly volume: Volume,
    readonly pause: () => Deferred<void>,
  ) {}

  /**
   * Of files whose base file is not the same any more the bytes are lost: they stay as they are.
   * Throws FsError (ENOSPC, EIO).
   */
  *run(inos: Iterable<number>): Work<void> {
    if (!this.volume.catalog.mayHaveGiven) return;
    let batch: number[] = [];
    let seen = 0;
    for (const ino of new Set(inos)) {
      if (++seen % FILES_AT_ONCE === 0) yield undefined;
      if (this.#origins(ino).length === 0) continue;
      batch.push(ino);
      if (batch.length < FILES_AT_ONCE) continue;
      yield* this.#batch(batch);
      batch = [];
    }
    if (batch.length > 0) yield* this.#batch(batch);
  }

  #origins(ino: number): Origin[] {
    const { volume } = this;
    return givenOf(volume, ino)
      .filter(({ given }) => isThere(volume, given))
      .map((record) => ({ ...record, ino }));
  }

  *#batch(inos: readonly number[]): Work<void> {
    const { volume } = this;
    const { core } = volume;
    const pinned = new Set<number>();
    const stopListening = core.onClose(() => core.baseEpoch++);
    try {
      for (let isPinned = false; !isPinned; ) {
        isPinned = this.#pinAll(inos, pinned);
        volume.catalog.putMeta(RETURNING_META, inos);
        yield* answerOf(volume.whenCommitted(volume.commit()));
      }
      const origins = inos.flatMap((ino) => this.#origins(ino));
      for (const origin of origins) yield* this.#keepBlocks(origin);
      failpoint('take-back:kept');
      yield* answerOf(volume.whenCommitted(volume.commit()));
      failpoint('take-back:stored');
      core.withReserve(() => {
        for (const origin of origins) this.#takeBack(origin);
      });
    } finally {
      endReturning(volume, inos);
      yield* answerOf(volume.whenCommitted(volume.commit()));
      stopListening();
      for (const layer of pinned) volume.unpin(layer);
    }
    failpoint('take-back:done');
  }

  /**
   * No layer with a record of the files may be folded into another one. False: some are pinned only
   * now, and may have been until then.
   */
  #pinAll(inos: readonly number[], pinned: Set<number>): boolean {
    const { volume } = this;
    let isAll = true;
    for (const ino of inos) {
      for (const layer of recordsOf(volume, ino).keys()) {
        if (pinned.has(layer)) continue;
        pinned.add(layer);
        volume.pin(layer);
        isAll = false;
      }
    }
    return isAll;
  }

  /** Beside the txg's own blocks: those are newer to its readers than anything that LMDB has. */
  *#keepBlocks({ ino, layer, given }: Origin): Work<void> {
    const { volume } = this;
    const { blockSize } = volume.options;
    const view = volume.viewAt(layer);
    const inode = volume.inode(view, ino);
    if (inode === undefined) return;
    const step = layer === given.layer ? given.step : 0;
    const count = volume.blocks.baseBlocks(inode);
    for (let first = 0; first < count; first += PIECE_BLOCKS) {
      const last = Math.min(first + PIECE_BLOCKS, count) - 1;
      const sources = volume.blocks.sources(view, inode, first, last);
      for (const [i, { where }] of sources.entries()) {
        if (where !== 'base') continue;
        const index = first + i;
        const value = this.#read(given, index * blockSize, blockSize);
        // The clip hides what is older: nothing need stand for zeros.
        if (value === undefined) continue;
        while (!volume.beginChange()) yield this.pause();
        volume.core.admit(1, 64, value.length);
        volume.core.open.isUnloggable = true;
        volume.putSystem(TABLE.blocks, blockKey(ROOT_FILESET, ino, index, layer, step), value);
        this.storedBytes += value.length - BLOCK_HEADER_LENGTH;
      }
      yield undefined;
    }
  }

  /** A block as it is stored; undefined: it has only zeros. */
  #read({ ref }: Given, offset: number, blockSize: number): Buffer | undefined {
    const { base, waits } = this.volume;
    const length = Math.min(blockSize, ref.size - offset);
    const value = Buffer.alloc(BLOCK_HEADER_LENGTH + length);
    waits.patiently(() => base?.read(ref, offset, length, value, BLOCK_HEADER_LENGTH, waits));
    if (value.every((byte) => byte === 0)) return undefined;
    sealBlock(value, length);
    return value;
  }

  /** All records at once, also those above that have nothing to do with it: the newest one counts. */
  #takeBack({ ino, layer: from }: Origin): void {
    const { volume } = this;
    const { core } = volume;
    for (const [layer, record] of recordsOf(volume, ino)) {
      if (!isAtOrAbove(volume, layer, from)) continue;
      const own = core.open.layers.get(layer)?.inodes.get(ino);
      if (own === undefined) {
        core.changesOf(layer).inodes.set(ino, record && takenBack(record.clone()));
        core.open.note(RECORD_BYTES);
      } else if (own !== null) {
        core.open.isUnloggable = true;
        takenBack(own);
      }
    }
  }
}

/** From here on the collector looks again at what views need. */
function endReturning(volume: Volume, inos: readonly number[]): void {
  if (volume.failure !== undefined) return;
  volume.withReserve(() => {
    volume.catalog.putMeta(RETURNING_META, undefined);
    for (const ino of inos) {
      for (const layer of recordsOf(volume, ino).keys()) {
        if (volume.layers.has(layer)) reapBlocks(volume, ino, layer);
      }
    }
  });
}

/** A process ended while files took their bytes back: they have not. */
export function forgetReturning(volume: Volume): void {
  const inos = readMeta<number[]>(volume.store, RETURNING_META);
  if (inos !== undefined) endReturning(volume, inos);
}

/**
 * Files in the base that an apply changes in any way, so that references to them come to nothing:
 * their names, attributes, content, or a directory above them.
 */
export function* filesTouched(
  volume: Volume,
  slots: Slots,
  plan: ApplyPlan,
): Work<ReadonlySet<number>> {
  const touched = new Set<number>();
  if (!volume.catalog.mayHaveGiven) return touched;
  for (const { before, after } of plan.slots) {
    if (before !== undefined) touched.add(before.ino);
    if (after !== undefined) touched.add(after.ino);
  }
  for (const { ino } of [...plan.attributes, ...plan.links, ...plan.out, ...plan.direct]) {
    touched.add(ino);
  }
  for (const ino of [...plan.replaced, ...plan.unnamed]) touched.add(ino);
  for (const { ino } of [...plan.out, ...plan.direct]) {
    const directory = slots.before(ino);
    if (directory?.isDirectory !== true) continue;
    yield* eachBelow(volume, slots.viewBefore(ino), directory, (file) => touched.add(file));
  }
  return touched;
}

function* eachBelow(
  volume: Volume,
  view: View,
  top: Inode,
  visit: (ino: number) => void,
): Work<void> {
  const left = [top];
  for (let directory = left.pop(); directory !== undefined; directory = left.pop()) {
    const found: { name: string; ino: number; type: number }[] = [];
    volume.list(view, directory, 0, (name, ino, type) => found.push({ name, ino, type }) > 0);
    for (const { name, ino, type } of found) {
      if (!isBaseNumber(ino)) visit(ino);
      if (type !== DIRECTORY_TYPE) continue;
      const below = volume.inodeForListing(view, directory, name, ino);
      if (below !== undefined) left.push(below);
    }
    yield undefined;
  }
}

function takenBack(inode: Inode): Inode {
  if (inode.given === undefined) return inode;
  inode.clips = clipsTakenBack(inode.clips, inode.given);
  inode.given = undefined;
  return inode;
}
