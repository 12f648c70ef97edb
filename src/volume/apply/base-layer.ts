/**
 * Puts into the base layer what views still read from the base (rules D12,
 * F10), so that the base may lose it. What is put there says what the base
 * says: no view reads anything differently, before or after, and it may be put
 * again.
 */
import type { Deferred } from '../../lib/deferred.js';
import type { Work } from '../../lib/work.js';
import { copyBytes } from '../../lib/copy-bytes.js';
import { BLOCK_HEADER_LENGTH } from '../../format/records/values.js';
import { blockKey } from '../../format/records/keys.js';
import { BASE_LAYER, MAX_LINK_NAMES, TABLE } from '../../format/records/tables.js';
import type { BaseReference } from '../../base/base-reference.js';
import { isOfState, referenceTo } from '../../base/base-stat.js';
import type { Inode, LinkName } from '../inode.js';
import type { View } from '../view.js';
import type { Volume } from '../volume.js';
import type { Final, Relocation } from './journal.js';
import { hasOtherStates } from './other-states.js';

/** Blocks read at a time. */
const PIECE_BLOCKS = 8;
const RECORD_BYTES = 220;

export class BaseLayer {
  /** What the base shows, with what has been put aside of it. */
  readonly view: View;
  storedBytes = 0;

  /** `pause` settles after a little while: the writer is behind. */
  constructor(
    readonly volume: Volume,
    readonly pause: () => Deferred<void>,
  ) {
    this.view = volume.viewAt(BASE_LAYER);
  }

  *#mayChange(): Work<void> {
    while (!this.volume.beginChange()) yield this.pause();
  }

  /** The file as the base layer's view shows it, if views read it from the base. */
  find(ino: number, path: string): Inode | undefined {
    this.volume.inodes.rememberBase(ino, path);
    const inode = this.volume.inode(this.view, ino);
    return inode?.base === undefined || inode.base.isStored ? undefined : inode;
  }

  /** The record with the file's attributes as they are. `link`: a name, if the caller knows one. */
  *keepInode(ino: number, path: string, link?: LinkName): Work<Inode | undefined> {
    const inode = this.find(ino, path);
    if (inode === undefined || inode.layer === BASE_LAYER) return inode;
    yield* this.#mayChange();
    const { core } = this.volume;
    core.admit(1, RECORD_BYTES);
    const kept = inode.clone();
    if (kept.base !== undefined && hasOtherStates(this.volume, ino, kept.base)) {
      kept.base = { ...kept.base, isOther: true };
    }
    if (link === undefined) this.#nameFromPath(kept);
    else kept.links = [link];
    return this.#put(kept);
  }

  #put(kept: Inode): Inode {
    const { core } = this.volume;
    kept.layer = BASE_LAYER;
    kept.birthLayer = BASE_LAYER;
    kept.allocated = Math.min(kept.allocated, this.#roundedSize(kept));
    core.baseChanges().inodes.set(kept.ino, kept);
    core.open.note(RECORD_BYTES);
    core.baseEpoch++;
    return kept;
  }

  /** One more name of a kept file; the same again changes nothing. */
  addName(kept: Inode, { parent, name }: LinkName): void {
    const isKnown = kept.links.some((link) => link.parent === parent && link.name === name);
    if (isKnown || kept.isDirectory || kept.links.length >= MAX_LINK_NAMES) return;
    const copy = kept.clone();
    copy.links = [...kept.links, { parent, name }];
    this.#put(copy);
  }

  /**
   * A file that somebody has changed since it was kept, and that no other layer knows: as it is
   * now. Undefined: it is not there, or another one. Its blocks are to be kept anew.
   */
  *keepAnew(kept: Inode, path: string): Work<Inode | undefined> {
    const { core, inodes, options } = this.volume;
    const now = inodes.untouchedAt(kept.ino, path);
    if (now === undefined || !now.isRegular) return undefined;
    yield* this.#mayChange();
    core.admit(1, RECORD_BYTES);
    const anew = now.clone();
    anew.links = kept.links;
    const count = Math.ceil(anew.size / options.blockSize);
    for (const { index } of this.volume.blocks.recorded(this.view, kept, count)) {
      core.baseChanges().files.get(kept.ino)?.delete(index);
      core.putSystem(
        TABLE.blocks,
        blockKey(core.fileset, kept.ino, index, BASE_LAYER, 1),
        undefined,
      );
    }
    return this.#put(anew);
  }

  #roundedSize({ size, isRegular, allocated }: Inode): number {
    const { blockSize } = this.volume.options;
    return isRegular ? Math.ceil(size / blockSize) * blockSize : allocated;
  }

  #nameFromPath(inode: Inode): void {
    const name = this.volume.inodes.nameInBase(inode);
    // A directory that the base layer shows elsewhere has that name.
    if (name !== undefined && inode.links.length < MAX_LINK_NAMES) inode.links = [name];
  }

  /** `names`: also note that the file does not have these. */
  *keepXattrs(inode: Inode, names: readonly string[] = []): Work<void> {
    const { volume, view } = this;
    const has = new Set(volume.listAttributes(view, inode));
    for (const name of new Set([...has, ...names])) {
      const value = has.has(name) ? volume.readAttribute(view, inode, name) : undefined;
      yield* this.#mayChange();
      const bytes = 64 + name.length + (value?.length ?? 0);
      volume.core.admit(1, bytes);
      const { xattrs } = volume.core.baseChanges();
      let own = xattrs.get(inode.ino);
      if (own === undefined) {
        own = new Map();
        xattrs.set(inode.ino, own);
      }
      own.set(name, value === undefined ? null : Buffer.from(value));
      volume.core.open.note(bytes);
    }
  }

  /** All bytes that are still read from the base. `isAnew`: also those that were kept before. */
  *keepBlocks(
    inode: Inode,
    isAnew = false,
    onBytes: (bytes: number) => void = () => undefined,
  ): Work<void> {
    const { volume, view } = this;
    const { blockSize } = volume.options;
    const count = volume.blocks.baseBlocks(inode);
    const room = Buffer.alloc(PIECE_BLOCKS * blockSize);
    for (let first = 0; first < count; first += PIECE_BLOCKS) {
      const last = Math.min(first + PIECE_BLOCKS, count) - 1;
      const sources = volume.blocks.sources(view, inode, first, last);
      for (const [i, { where }] of sources.entries()) {
        const index = first + i;
        const length = Math.min(blockSize, inode.size - index * blockSize);
        if (where !== 'base' && !isAnew) {
          onBytes(length);
          continue;
        }
        const bytes = room.subarray(0, length);
        this.#readBase(inode, index * blockSize, bytes);
        // What was kept before may be something else there.
        if (where !== 'base' || !isZero(bytes)) yield* this.#keepBlock(inode.ino, index, bytes);
        onBytes(length);
      }
      yield undefined;
    }
  }

  #readBase({ base: ref }: Inode, offset: number, bytes: Buffer): void {
    const { base, waits } = this.volume;
    if (ref === undefined || base === undefined) return;
    waits.patiently(() => {
      const got = base.read(ref, offset, bytes.length, bytes, 0, waits);
      bytes.fill(0, got);
    });
  }

  *#keepBlock(ino: number, index: number, bytes: Buffer): Work<void> {
    yield* this.#mayChange();
    const { core } = this.volume;
    const length = BLOCK_HEADER_LENGTH + bytes.length;
    core.admit(1, 48, length);
    const room = core.open.arena.allocUncleared(length);
    room.fill(0, 0, BLOCK_HEADER_LENGTH);
    copyBytes(bytes, 0, bytes.length, room, BLOCK_HEADER_LENGTH);
    core.open.note(48);
    core.baseChanges().file(ino).set(index, { step: 1, hole: false, room, length: bytes.length });
    this.storedBytes += bytes.length;
  }

  /** What a name of a directory of the base leads to, or that there is none. */
  *keepEntry(directory: Inode, name: string): Work<void> {
    const { volume, view } = this;
    const found = volume.directories.find(view, directory, name);
    if (found !== undefined && found.layer !== 0) return;
    yield* this.#mayChange();
    const { core } = volume;
    core.admit(1, 64 + name.length);
    core
      .baseChanges()
      .directory(directory.ino)
      .set(name, found?.ino ?? 0, found?.type ?? 0, false);
    core.open.note(64 + name.length);
  }

  /** What a step has done to base files becomes known; the same again changes nothing. */
  finish(finals: readonly Final[], relocation: Relocation | undefined): void {
    for (const { ino, path } of finals) {
      if (path === undefined) this.#refer(ino, (base) => ({ ...base, size: 0, isStored: true }));
      else this.#referTo(ino, path);
    }
    if (relocation !== undefined) this.#relocate(relocation);
  }

  #referTo(ino: number, path: string): void {
    const stat = this.volume.base?.lstat(path);
    if (stat === undefined) return;
    const own = this.volume.base?.rootStat.device;
    const ref = { ...referenceTo(path, stat), device: stat.device === own ? 0 : stat.device };
    this.#refer(ino, () => ref);
    if (this.volume.core.basePaths.has(ino)) this.volume.core.basePaths.set(ino, path);
  }

  #relocate({ inos, from, to }: Relocation): void {
    const moved = (path: string): string | undefined => {
      if (path === from) return to;
      return path.startsWith(`${from}/`) ? to + path.slice(from.length) : undefined;
    };
    for (const ino of inos) {
      this.#refer(ino, (base) => ({ ...base, path: moved(base.path) ?? base.path }));
    }
    const { basePaths } = this.volume.core;
    for (const [ino, path] of basePaths) {
      const now = moved(path);
      if (now !== undefined) basePaths.set(ino, now);
    }
    this.volume.base?.forgetPaths();
  }

  /** Gives the record in the base layer, and the changed inodes in memory, another reference. */
  #refer(ino: number, change: (base: BaseReference) => BaseReference): void {
    const { core, inodes } = this.volume;
    const record = inodes.baseRecord(ino);
    if (record?.base === undefined) return;
    const base = change(record.base);
    core.withReserve(() => {
      const copy = record.clone();
      copy.base = base;
      core.baseChanges().inodes.set(ino, copy);
      core.open.note(RECORD_BYTES);
    });
    for (const txg of [core.open, core.closing]) {
      for (const changes of txg?.layers.values() ?? []) {
        const inode = changes.inodes.get(ino);
        if (changes.layer === BASE_LAYER || inode?.base === undefined) continue;
        if (isOfState(base, inode.base)) inode.base = base;
      }
    }
    core.baseEpoch++;
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
