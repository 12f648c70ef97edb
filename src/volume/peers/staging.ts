/**
 * A layer that is filled from a stream; no view's lineage has it until it is
 * adopted (native-notes/design.md, section 7). Takes the records of a stream
 * and writes them into the open txg, over the view of the snapshot from which
 * the stream starts.
 *
 * What must hold: nothing outside the layer is changed; every record of the
 * layer belongs to an inode that has a record in it (as `check` demands of
 * kept layers); a record that does not fit what is there throws CommandError
 * `stream-damaged`.
 */
import { copyBytes } from '../../lib/copy-bytes.js';
import { CommandError } from '../../lib/errors.js';
import { clipsAfterCut } from '../../format/given.js';
import { inodePlace } from '../../format/records/keys.js';
import type { InodeRecord, StreamLink, StreamRecord } from '../../format/wire/stream-records.js';
import { BASE_LAYER, MAX_LINK_NAMES, ROOT_INODE, TABLE } from '../../format/records/tables.js';
import { BLOCK_HEADER_LENGTH } from '../../format/records/values.js';
import { DIRECTORY_TYPE } from '../../lib/file-mode.js';
import { Inode, type LinkName } from '../inode.js';
import { gapsOfTable, type InodeGaps } from '../names/inode-gaps.js';
import { type Layer, Lineage } from '../lineage.js';
import type { LayerChanges } from '../commit/txg.js';
import { View } from '../view.js';
import type { Volume } from '../volume.js';

/**
 * Every record of a received layer has this step: step 1 stays unused, so that a clip hides what is
 * older.
 */
const STEP = 2;
const RECORD_BYTES = 220;

/** The inode whose records are arriving. */
interface Current {
  inode: Inode;
  /** The inode as the snapshot below has it. */
  before: Inode | undefined;
  hasData: boolean;
}

export function unfit(what: string): CommandError {
  return new CommandError('stream-damaged', 'EIO', `the stream does not fit the volume: ${what}`);
}

export class Staging {
  readonly #below: View;
  /** The staging layer alone. */
  readonly #own: View;
  #current: Current | undefined;
  /** Where no layer has inodes, in the state after txg `#stateOf`. */
  readonly #gaps: InodeGaps;
  #stateOf: number;

  constructor(
    readonly volume: Volume,
    readonly layer: Layer,
  ) {
    const { number, parent, fileset } = layer;
    this.#below = volume.viewAt(parent);
    this.#own = new View(fileset, number, new Lineage([number]), false);
    this.#gaps = gapsOfTable(volume.core.reader, TABLE.inodes, fileset);
    this.#stateOf = volume.core.committed;
  }

  /** A new layer over `parent`. */
  static begin(volume: Volume, parent: number): Staging {
    const { core, catalog } = volume;
    const layer: Layer = {
      number: catalog.takeLayer(),
      parent,
      fileset: core.fileset,
      branch: 'main',
      state: 'staging',
      createdMs: core.clock.nowMs(),
    };
    core.layers.add(layer);
    catalog.putLayer(layer);
    return new Staging(volume, layer);
  }

  /** From now on the layer is garbage. */
  drop(): void {
    this.layer.state = 'sealed';
    this.volume.catalog.putLayer(this.layer);
  }

  /** The inode that the next records belong to; 0: none. Kept to resume after an interruption. */
  get currentIno(): number {
    return this.#current?.inode.ino ?? 0;
  }

  goOn(ino: number): void {
    if (ino === 0) return;
    const inode = this.#staged(ino);
    if (inode === undefined) throw unfit(`inode ${ino} was not received`);
    const before = this.volume.inode(this.#below, ino);
    this.#current = { inode, before, hasData: inode.dataLayer === this.layer.number };
  }

  apply(record: StreamRecord): void {
    switch (record.kind) {
      case 'inode':
        this.#inode(record);
        break;
      case 'gone':
        this.#gone(record.ino);
        break;
      case 'path':
        this.#locate(record.ino, record.path);
        break;
      case 'attribute':
        this.#attribute(record.name, record.value);
        break;
      case 'entry':
        this.#entry(record.name, record.ino, record.type);
        break;
      case 'block':
        this.#block(record.index, record.bytes);
        break;
      case 'hole':
        this.#hole(record.index);
    }
  }

  #changes(): LayerChanges {
    return this.volume.core.changesOf(this.layer.number);
  }

  #admit(metaBytes: number, blockBytes = 0): void {
    this.volume.core.admit(1, metaBytes, blockBytes);
    this.volume.core.open.note(metaBytes);
  }

  /** The inode as this layer has it so far. */
  #staged(ino: number): Inode | undefined {
    // A decoded inode may have been changed and stored since.
    this.#own.cache.delete(ino);
    const inode = this.volume.inode(this.#own, ino);
    // Without a record in this layer, it may come from the base.
    return inode?.layer === this.layer.number ? inode : undefined;
  }

  /** True when no layer has the inode, which is soon known for most inodes of a full stream. */
  #isNowhere(ino: number): boolean {
    const { core } = this.volume;
    if (core.base !== undefined || core.pendingChanges(this.#below).length > 0) return false;
    if (core.pendingChanges(this.#own).some(({ inodes }) => inodes.has(ino))) return false;
    if (this.#stateOf !== core.committed) {
      this.#gaps.forget();
      this.#stateOf = core.committed;
    }
    return this.#gaps.has(ino);
  }

  #required(): Current {
    if (this.#current === undefined) throw unfit('a record belongs to no inode');
    return this.#current;
  }

  #inode(record: InodeRecord): void {
    const { ino, isNew } = record;
    const isNowhere = this.#isNowhere(ino);
    if (!isNowhere && this.#staged(ino) !== undefined) throw unfit(`inode ${ino} comes twice`);
    const before = isNowhere ? undefined : this.volume.inode(this.#below, ino);
    if (isNew === (before !== undefined)) {
      throw unfit(`inode ${ino} is ${isNew ? 'there already' : 'not there'}`);
    }
    if (before !== undefined && before.mode >>> 12 !== record.mode >>> 12) {
      throw unfit(`inode ${ino} is of another type`);
    }
    if (ino === ROOT_INODE && record.mode >>> 12 !== DIRECTORY_TYPE) throw unfit('the root');
    const inode = new Inode(ino);
    this.#fields(inode, record, before);
    this.#names(inode, record, before);
    this.#admit(RECORD_BYTES + (record.target?.length ?? 0));
    this.#changes().inodes.set(ino, inode);
    this.#current = { inode, before, hasData: record.hasData };
    if (record.cut !== undefined && before !== undefined) this.#cut(inode, before, record.cut);
    if (isNew && !isNowhere && this.layer.parent !== BASE_LAYER) this.#hideRemains(inode);
  }

  /** The stream names an untouched base file by its path: from now on its number is enough. */
  #locate(ino: number, path: string): void {
    const { volume } = this;
    if (volume.core.base === undefined) return;
    let found = volume.inode(this.#below, ROOT_INODE);
    for (const name of path.split('/')) {
      if (found?.isDirectory === true) found = volume.lookup(this.#below, found, name);
      else found = undefined;
    }
    if (found?.ino !== ino) throw unfit(`inode ${ino} is not where it was at the sender`);
  }

  #fields(inode: Inode, record: InodeRecord, before: Inode | undefined): void {
    const { number } = this.layer;
    inode.mode = record.mode;
    inode.uid = record.uid;
    inode.gid = record.gid;
    inode.rdev = record.rdev;
    inode.size = record.size;
    inode.allocated = record.allocated;
    inode.atimeS = record.atime.s;
    inode.atimeNs = record.atime.ns;
    inode.mtimeS = record.mtime.s;
    inode.mtimeNs = record.mtime.ns;
    inode.ctimeS = record.ctime.s;
    inode.ctimeNs = record.ctime.ns;
    inode.btimeS = record.btime.s;
    inode.btimeNs = record.btime.ns;
    inode.target = record.target;
    inode.birthLayer = before?.birthLayer ?? number;
    inode.dataLayer = record.hasData ? number : (before?.dataLayer ?? 0);
    inode.clips = before?.clips ?? [];
    inode.base = before?.base;
    inode.given = before?.given;
    inode.step = STEP;
    inode.layer = number;
  }

  /** A directory's links are counted with its names. */
  #names(inode: Inode, record: InodeRecord, before: Inode | undefined): void {
    const { links, removed } = record;
    if (removed === undefined) {
      inode.links = links;
      inode.nlink = record.nlink;
    } else {
      const is = (a: LinkName, b: StreamLink): boolean =>
        a.parent === b.parent && a.name === b.name;
      const known = before?.links ?? [];
      const left = known.filter((link) => !removed.some((r) => is(link, r)));
      inode.links = [...left, ...links].slice(0, MAX_LINK_NAMES);
      inode.nlink = (before?.nlink ?? 0) + links.length - removed.length;
      if (inode.nlink < 1) throw unfit(`inode ${inode.ino} has no name left`);
    }
    if (inode.isDirectory) inode.nlink = before?.nlink ?? 2;
  }

  /** Cuts the file as a truncation does (rule D4). */
  #cut(inode: Inode, before: Inode, size: number): void {
    const clips = clipsAfterCut(before, { layer: this.layer.number, step: STEP, size });
    if (clips !== undefined) {
      inode.clips = clips;
      return;
    }
    const first = Math.ceil(size / this.volume.options.blockSize);
    for (const { index } of this.volume.blocks.recorded(this.#below, before, first)) {
      this.#putHole(inode, index);
    }
  }

  /**
   * An inode that was removed below has come back (the sender was restored to a snapshot from
   * before the removal): what is left of it from then must stay hidden.
   */
  #hideRemains(inode: Inode): void {
    const { volume } = this;
    const place = inodePlace(this.layer.fileset, inode.ino);
    if (volume.core.newest(TABLE.inodes, place, this.#below) === undefined) return;
    inode.clips = [{ layer: this.layer.number, step: STEP, size: 0 }];
    for (const name of volume.listAttributes(this.#below, inode)) {
      this.#putAttribute(inode.ino, name, null);
    }
    volume.list(this.#below, inode, 0, (name) => {
      this.#admit(64 + name.length);
      this.#changes().directory(inode.ino).set(name, 0, 0, false);
      return true;
    });
  }

  #gone(ino: number): void {
    if (ino === ROOT_INODE) throw unfit('the root is gone');
    if (this.volume.inode(this.#below, ino) === undefined) throw unfit(`no inode ${ino}`);
    if (this.#staged(ino) !== undefined) throw unfit(`inode ${ino} comes twice`);
    this.#admit(RECORD_BYTES);
    this.#changes().inodes.set(ino, null);
    this.#current = undefined;
  }

  #attribute(name: string, value: Buffer | undefined): void {
    const { inode } = this.#required();
    this.#putAttribute(inode.ino, name, value === undefined ? null : Buffer.from(value));
  }

  #putAttribute(ino: number, name: string, value: Buffer | null): void {
    this.#admit(64 + name.length + (value?.length ?? 0));
    const { xattrs: attributes } = this.#changes();
    let own = attributes.get(ino);
    if (own === undefined) {
      own = new Map();
      attributes.set(ino, own);
    }
    own.set(name, value);
  }

  #entry(name: string, ino: number, type: number): void {
    const { inode, before } = this.#required();
    if (!inode.isDirectory) throw unfit(`inode ${inode.ino} is no directory`);
    const hasOlder = before !== undefined || inode.clips.length > 0;
    const below = hasOlder ? this.volume.directories.find(this.#below, inode, name) : undefined;
    if (ino === 0 && (below === undefined || below.ino === 0)) {
      throw unfit(`directory ${inode.ino} has no such name`);
    }
    this.#admit(64 + name.length);
    this.#changes()
      .directory(inode.ino)
      .set(name, ino, type, below === undefined);
    // When the directory itself has come back, its earlier entries do not count.
    const wasDirectory = before !== undefined && below !== undefined && isDirectoryEntry(below);
    const change = Number(isDirectoryEntry({ ino, type })) - Number(wasDirectory);
    if (change !== 0) this.#changed().nlink += change;
  }

  /** The current inode, as the open txg may change it. */
  #changed(): Inode {
    const current = this.#required();
    const { inodes } = this.#changes();
    const { ino } = current.inode;
    const own = inodes.get(ino);
    if (own !== undefined && own !== null) return own;
    current.inode = current.inode.clone();
    inodes.set(ino, current.inode);
    this.volume.core.open.note(RECORD_BYTES);
    return current.inode;
  }

  #fileForBlock(index: number): Inode {
    const { inode, hasData } = this.#required();
    const { blockSize } = this.volume.options;
    if (!inode.isRegular || !hasData) throw unfit(`inode ${inode.ino} has no data`);
    if (index * blockSize >= inode.size) throw unfit(`a block beyond the end of ${inode.ino}`);
    return inode;
  }

  #block(index: number, bytes: Buffer): void {
    const inode = this.#fileForBlock(index);
    const { blockSize } = this.volume.options;
    if (bytes.length > Math.min(blockSize, inode.size - index * blockSize)) {
      throw unfit(`a block of inode ${inode.ino} is too long`);
    }
    const length = BLOCK_HEADER_LENGTH + bytes.length;
    this.volume.core.admit(1, 40, length);
    const room = this.volume.core.open.arena.allocUncleared(length);
    room.fill(0, 0, BLOCK_HEADER_LENGTH);
    copyBytes(bytes, 0, bytes.length, room, BLOCK_HEADER_LENGTH);
    this.volume.core.open.note(40);
    this.#changes()
      .file(inode.ino)
      .set(index, { step: STEP, hole: false, room, length: bytes.length });
  }

  #hole(index: number): void {
    const inode = this.#fileForBlock(index);
    // There is nothing below.
    if (this.#required().before === undefined) return;
    this.#putHole(inode, index);
  }

  #putHole(inode: Inode, index: number): void {
    this.#admit(40);
    const room = Buffer.alloc(BLOCK_HEADER_LENGTH);
    this.#changes().file(inode.ino).set(index, { step: STEP, hole: true, room, length: 0 });
    inode.dataLayer = this.layer.number;
  }
}

function isDirectoryEntry({ ino, type }: { ino: number; type: number }): boolean {
  return ino !== 0 && type === DIRECTORY_TYPE;
}
