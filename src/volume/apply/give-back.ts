/**
 * After an apply: files that the tree made, and that the base has now, give
 * their blocks back. Their bytes are read from the base from then on, in the
 * tree and in snapshots alike (rules G1–G4 in native-notes/format.md). Work in
 * pieces, in the thread that owns the volume, which serves on.
 *
 * What must hold: no view reads anything differently at any time. So each file
 * is compared with the base byte by byte before, and a file that has a newer
 * record anywhere keeps its blocks.
 */
import { FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { isWithin } from '../../lib/paths.js';
import { answerOf, type Work } from '../../lib/work.js';
import { BASE_LAYER, isBaseNumber } from '../../format/records/tables.js';
import { S_IFMT, S_IFREG } from '../../lib/file-mode.js';
import type { BaseDirectory } from '../../base/base-directory.js';
import type { BaseReference } from '../../base/base-reference.js';
import { isStatOf, referenceTo } from '../../base/base-stat.js';
import { isData } from '../files/block-map.js';
import type { Inode } from '../inode.js';
import type { View } from '../view.js';
import type { Volume } from '../volume.js';
import { appliedParts } from './applied.js';
import type { StepHost } from './carry-out.js';
import {
  inodesWithBlocks,
  isAtOrAbove,
  reapBlocks,
  RECORD_BYTES,
  recordsOf,
} from './given-records.js';
import type { Part } from './journal.js';
import { requireBase } from './planning.js';

/** What a smaller file takes in the volume is hardly more than what leads to the base. */
const MIN_BYTES = 4096;
/** Blocks compared at a time. */
const PIECE_BLOCKS = 8;

export interface GivenBack {
  files: number;
  bytes: number;
}

type GivingHost = Pick<StepHost, 'pause' | 'flush'>;

/** `paths`: byte strings below the root; none: everything that was applied. */
export function* giveBack(
  volume: Volume,
  paths: readonly string[],
  host: GivingHost,
): Work<GivenBack> {
  // What a peer sends refers to what was before.
  const isReceiving = volume.layers.all().some(({ state }) => state === 'staging');
  const parts = appliedParts(volume);
  const pinned = new Set(parts.flatMap(({ layer }) => volume.layers.path(layer)));
  pinned.delete(BASE_LAYER);
  if (isReceiving || pinned.size === 0) return { files: 0, bytes: 0 };
  for (const layer of pinned) volume.pin(layer);
  const { core } = volume;
  // What views remember of a record goes before the new one leaves the memory.
  const stopListening = core.onClose(() => core.baseEpoch++);
  try {
    volume.catalog.noteGiven();
    volume.catalog.putMeta('returning', undefined);
    // From here on no layer is folded into another one.
    yield* answerOf(volume.whenCommitted(volume.commit()));
    yield host.flush(requireBase(volume).rootFd);
    const giving = new Giving(volume, parts, paths, host);
    yield* giving.run();
    yield* answerOf(volume.whenCommitted(volume.commit()));
    return giving.given;
  } finally {
    stopListening();
    for (const layer of pinned) volume.unpin(layer);
  }
}

class Giving {
  readonly given: GivenBack = { files: 0, bytes: 0 };
  readonly #base: BaseDirectory;
  readonly #ours: Buffer;
  readonly #theirs: Buffer;
  /** Files that were looked at and stay: they may have blocks in several layers. */
  readonly #staying = new Set<number>();

  constructor(
    readonly volume: Volume,
    readonly parts: readonly Part[],
    readonly paths: readonly string[],
    readonly host: GivingHost,
  ) {
    this.#base = requireBase(volume);
    const bytes = PIECE_BLOCKS * volume.options.blockSize;
    this.#ours = Buffer.alloc(bytes);
    this.#theirs = Buffer.alloc(bytes);
  }

  *run(): Work<void> {
    for (const part of this.parts) {
      if (part.layer === BASE_LAYER) continue;
      this.#staying.clear();
      for (const layer of this.volume.layers.path(part.layer)) {
        if (layer === BASE_LAYER) continue;
        for (const ino of inodesWithBlocks(this.volume, layer)) {
          yield undefined;
          if (!this.#staying.has(ino)) yield* this.#file(part, ino);
        }
      }
    }
  }

  *#file(part: Part, ino: number): Work<void> {
    const { volume, host, given } = this;
    const view = volume.viewAt(part.layer);
    const inode = this.#suitable(view, ino);
    const path = inode && this.#pathIn(part, view, ino);
    const ref = path === undefined ? undefined : this.#refer(path);
    if (inode === undefined || ref === undefined || ref.size !== inode.size) {
      this.#staying.add(ino);
      return;
    }
    const isSame = yield* this.#isSame(view, inode, ref);
    while (!volume.beginChange()) yield host.pause();
    if (!isSame || !this.#give(inode, ref)) {
      this.#staying.add(ino);
      return;
    }
    given.files++;
    given.bytes += inode.allocated;
    failpoint('give-back:given');
  }

  #suitable(view: View, ino: number): Inode | undefined {
    if (isBaseNumber(ino)) return undefined;
    const inode = this.volume.inode(view, ino);
    if (inode?.isRegular !== true || inode.nlink === 0 || inode.size < MIN_BYTES) return undefined;
    return inode.base === undefined && inode.given === undefined ? inode : undefined;
  }

  /** Where the base has what this part of the tree shows. */
  #pathIn(part: Part, view: View, ino: number): string | undefined {
    const path = this.volume.paths.of(view, ino);
    if (path === undefined) return undefined;
    if (this.parts.findLast(({ path: top }) => isWithin(path, top)) !== part) return undefined;
    const { paths } = this;
    return paths.length === 0 || paths.some((top) => isWithin(path, top)) ? path : undefined;
  }

  #refer(path: string): BaseReference | undefined {
    const base = this.#base;
    try {
      const stat = base.lstat(path);
      if (stat === undefined || (stat.mode & S_IFMT) !== S_IFREG) return undefined;
      const isOwn = stat.device === base.rootStat.device;
      return { ...referenceTo(path, stat), ...(isOwn && { device: 0 }) };
    } catch (error) {
      if (error instanceof FsError) return undefined;
      throw error;
    }
  }

  /** All bytes, and at least half of the file is data: the base may have no holes. */
  *#isSame(view: View, inode: Inode, ref: BaseReference): Work<boolean> {
    const { volume } = this;
    const { blockSize } = volume.options;
    const count = Math.ceil(inode.size / blockSize);
    let data = 0;
    for (let first = 0; first < count; first += PIECE_BLOCKS) {
      const last = Math.min(first + PIECE_BLOCKS, count) - 1;
      const offset = first * blockSize;
      const length = Math.min((last + 1) * blockSize, inode.size) - offset;
      data += volume.blocks.sources(view, inode, first, last).filter(isData).length;
      // No more than half of it can become data.
      if (data + (count - last - 1) < count / 2) return false;
      try {
        volume.waits.patiently(() => {
          volume.read(view, inode, offset, length, this.#ours, 0);
          const got = this.#base.read(ref, offset, length, this.#theirs, 0, volume.waits);
          this.#theirs.fill(0, got, length);
        });
      } catch (error) {
        if (error instanceof FsError) return false;
        throw error;
      }
      if (this.#ours.compare(this.#theirs, 0, length, 0, length) !== 0) return false;
      yield undefined;
    }
    return true;
  }

  /** All at once: nobody may change the file in between. False: it keeps its blocks. */
  #give(inode: Inode, ref: BaseReference): boolean {
    const { volume } = this;
    const { core } = volume;
    const { ino, layer } = inode;
    const records = recordsOf(volume, ino);
    const own = records.get(layer);
    if (!own || own.given !== undefined || !this.#isAlone(records, layer)) return false;
    const stat = this.#base.lstat(ref.path);
    if (stat === undefined || !isStatOf(stat, ref, this.#base.rootStat.device)) return false;
    core.withReserve(() => {
      const copy = own.clone();
      // Everything that they hide is given (rule G2).
      copy.clips = [];
      copy.given = { layer, step: own.step, ref };
      core.changesOf(layer).inodes.set(ino, copy);
      core.open.note(RECORD_BYTES);
      reapBlocks(volume, ino, layer);
    });
    return true;
  }

  /** No view sees a newer record above this one, and no other record has given its bytes. */
  #isAlone(records: ReadonlyMap<number, Inode | null>, layer: number): boolean {
    for (const [other, record] of records) {
      if (other === layer) continue;
      if (record?.given !== undefined || !this.volume.layers.has(other)) return false;
      if (other > layer && isAtOrAbove(this.volume, other, layer)) return false;
    }
    return true;
  }
}
