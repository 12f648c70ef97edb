/**
 * The plan of an incremental stream: the differences between two views
 * (native-notes/design.md, row S14), inode by inode in the order of their
 * numbers. It starts from the delta maps of the layers that only one of the
 * views sees, so it costs what changed, not what exists, and it also works
 * across a restore.
 *
 * What must hold: only differences are sent, judged by what the views show and
 * not by what the delta maps name, since the collector may shrink those.
 */
import { firstDifference } from '../../format/clips.js';
import { isSameGiven } from '../../format/given.js';
import { xattrNameOf, blockIndexOf, entryNameOf, inodeOf } from '../../format/records/keys.js';
import { MAX_PATH } from '../../format/wire/stream-records.js';
import { isBaseNumber, ROOT_INODE, TABLE, type TableNumber } from '../../format/records/tables.js';
import { type BlockSource, isData, isSameVersion } from '../../volume/files/block-map.js';
import type { Inode, LinkName } from '../../volume/inode.js';
import { MergedKeys } from '../../volume/diff/merged-keys.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import type { View } from '../../volume/view.js';
import { BaseNames, pairOf, shown } from './base-names.js';
import {
  Contents,
  hasData,
  inodeRecord,
  isTold,
  names,
  planOf,
  type PlannedRecord,
} from './plan-records.js';

export class IncrementalPlan {
  readonly #layers: readonly number[];
  readonly #baseNames: BaseNames;
  readonly #contents: Contents;

  constructor(
    readonly volume: ReadableVolume,
    readonly from: View,
    readonly to: View,
    isEstimate = false,
  ) {
    const { onlyA, onlyB } = volume.layers.difference(from.top, to.top);
    this.#layers = [...onlyA, ...onlyB];
    this.#baseNames = new BaseNames(volume, from, to);
    this.#contents = new Contents(volume, to, isEstimate);
  }

  #places(table: TableNumber): MergedKeys {
    return new MergedKeys(this.volume.store, table, this.#layers);
  }

  *records(): Generator<PlannedRecord> {
    if (this.volume.base !== undefined) {
      this.#baseNames.collect(() => this.#places(TABLE.entries));
    }
    const inodes = this.#places(TABLE.inodes);
    const changed = {
      attributes: this.#places(TABLE.attributes),
      entries: this.#places(TABLE.entries),
      blocks: this.#places(TABLE.blocks),
    };
    for (let place = inodes.take(); place !== undefined; place = inodes.take()) {
      const ino = inodeOf(place);
      const { before, after } = pairOf(this.volume, this.from, this.to, ino);
      if (before !== undefined && before.layer !== after?.layer) yield* this.#path(ino);
      if (after === undefined) {
        if (before !== undefined) yield { kind: 'gone', ino };
      } else if (before === undefined) {
        yield* this.#new(after);
      } else if (before.layer !== after.layer) {
        yield* this.#changed(before, after, changed);
      }
    }
  }

  /**
   * Sends an inode's path. A receiver with a base knows a file that was not touched there by its
   * path only. A receiver without a base knows the paths of all files.
   */
  *#path(ino: number): Generator<PlannedRecord> {
    const { volume } = this;
    const isKnown = ino === ROOT_INODE || !isBaseNumber(ino);
    if (isKnown || volume.base !== undefined) return;
    const path = volume.pathOf(this.from, ino);
    if (path !== undefined && path.length <= MAX_PATH) yield { kind: 'path', ino, path };
  }

  *#new(inode: Inode): Generator<PlannedRecord> {
    const { volume, to } = this;
    yield inodeRecord(volume, inode, {
      isNew: true,
      hasData: hasData(inode),
      ...this.#names(inode),
    });
    yield* this.#contents.attributes(inode);
    if (inode.isDirectory) {
      for (const listed of names(volume, to, inode)) yield { kind: 'entry', ...listed };
    }
    if (hasData(inode)) yield* this.#contents.blocks(inode);
  }

  #names({ ino, base, nlink, links }: Inode): {
    nlink: number;
    links: readonly LinkName[];
    removed?: readonly LinkName[];
  } {
    if (base === undefined) return { nlink, links };
    const { added, removed } = this.#baseNames.of(ino);
    return { nlink: 0, links: added, removed };
  }

  *#changed(
    before: Inode,
    after: Inode,
    changed: { attributes: MergedKeys; entries: MergedKeys; blocks: MergedKeys },
  ): Generator<PlannedRecord> {
    const { ino } = after;
    // What the delta maps name is gone where blocks were given back (rule G4).
    const isGiven = !isSameGiven(before.given, after.given);
    const cut = isGiven ? shortened(before, after) : firstCut(before, after);
    const isWritten =
      after.isRegular && (isGiven || before.dataLayer !== after.dataLayer || cut !== undefined);
    yield inodeRecord(this.volume, after, {
      isNew: false,
      hasData: isWritten,
      cut,
      ...this.#names(after),
    });
    for (const place of changed.attributes.ofInode(ino)) {
      yield* this.#attribute(before, after, xattrNameOf(place));
    }
    for (const place of changed.entries.ofInode(ino)) {
      yield* this.#entry(before, after, entryNameOf(place));
    }
    if (isWritten && isGiven) yield* this.#differingBlocks(before, after);
    else if (isWritten) yield* this.#blocks(before, after, cut, changed.blocks);
  }

  *#attribute(before: Inode, after: Inode, name: string): Generator<PlannedRecord> {
    const { volume, from, to } = this;
    const old = volume.readAttribute(from, before, name);
    const value = volume.readAttribute(to, after, name);
    const isSame =
      old === undefined || value === undefined ? old === value : Buffer.compare(old, value) === 0;
    if (isSame) return;
    yield {
      kind: 'attribute',
      name,
      value: value === undefined ? undefined : Buffer.from(value),
    };
  }

  *#entry(before: Inode, after: Inode, name: string): Generator<PlannedRecord> {
    const { volume, from, to } = this;
    const old = shown(volume.directories.find(from, before, name));
    const now = shown(volume.directories.find(to, after, name));
    if (old?.ino === now?.ino) return;
    yield { kind: 'entry', name, ino: now?.ino ?? 0, type: now?.type ?? 0 };
  }

  /** All blocks that have other bytes: both files are read to their ends. */
  *#differingBlocks(before: Inode, after: Inode): Generator<PlannedRecord> {
    const { volume, from, to } = this;
    const { blockSize } = volume.options;
    const [old, now] = [Buffer.alloc(blockSize), Buffer.alloc(blockSize)];
    for (let index = 0; index * blockSize < after.size; index++) {
      const source = volume.blocks.source(to, after, index);
      const offset = index * blockSize;
      old.fill(0);
      now.fill(0);
      volume.read(from, before, offset, blockSize, old, 0);
      volume.read(to, after, offset, blockSize, now, 0);
      if (old.equals(now)) continue;
      const plan = planOf(after, index, source);
      if (plan !== undefined && isTold(plan)) yield plan;
      else yield { kind: 'hole', index };
    }
  }

  *#blocks(
    before: Inode,
    after: Inode,
    cut: number | undefined,
    changed: MergedKeys,
  ): Generator<PlannedRecord> {
    const { volume, from, to } = this;
    const { blockSize } = volume.options;
    const end = Math.ceil(after.size / blockSize);
    const firstCutBlock = cut === undefined ? end : Math.min(end, Math.ceil(cut / blockSize));
    for (const place of changed.ofInode(after.ino)) {
      const index = blockIndexOf(place);
      if (index >= firstCutBlock) continue;
      const old = volume.blocks.source(from, before, index);
      const now = volume.blocks.source(to, after, index);
      if (isSameSource(old, now)) continue;
      const plan = planOf(after, index, now);
      if (plan !== undefined && isTold(plan)) yield plan;
      else if (isData(old)) yield { kind: 'hole', index };
    }
    if (firstCutBlock < end) yield* this.#contents.blocks(after, firstCutBlock);
  }
}

/** True when both sources are the same, without a look at the bytes. */
function isSameSource(a: BlockSource, b: BlockSource): boolean {
  return a.where === 'stored' ? isSameVersion(a, b) : a.where === b.where;
}

/** The byte from which a cut, on the way to either view, removed what the older view showed. */
function firstCut(before: Inode, after: Inode): number | undefined {
  const cut = firstDifference(before.clips, after.clips);
  const end = shortened(before, after);
  return cut === undefined || end === undefined ? (cut ?? end) : Math.min(cut, end);
}

/** Across a restore the file may have become shorter without a cut. */
function shortened(before: Inode, after: Inode): number | undefined {
  return after.isRegular && after.size < before.size ? after.size : undefined;
}
