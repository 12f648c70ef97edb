/**
 * Inodes as views see them, and the copy that a change works on. Order of the
 * search: pending changes in memory, the view's cache, LMDB, the base
 * directory.
 */
import { CorruptionError, FsError } from '../../lib/errors.js';
import { parentOf } from '../../lib/paths.js';
import { uint64At } from '../../format/big-endian.js';
import { decodeInode } from '../../format/records/inode-record.js';
import { inodeKey, inodePlace } from '../../format/records/keys.js';
import { BASE_LAYER, MAX_LAYER, ROOT_INODE, TABLE } from '../../format/records/tables.js';
import { heldTime } from '../../format/records/time.js';
import type { BaseStat } from '../../base/base-directory.js';
import { isOfState } from '../../base/base-stat.js';
import type { BaseIds } from './base-ids.js';
import type { RecordView } from '../../store/env.js';
import type { TableReader } from '../../store/reader.js';
import type { Seat } from '../branches/branch.js';
import type { VolumeCore } from '../core.js';
import { Inode, type LinkName } from '../inode.js';
import { visitStored } from '../newest.js';
import type { View } from '../view.js';

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

/** Size that one inode record is counted with. */
const INODE_RECORD_BYTES = 220;

export class Inodes {
  #keepName: ((inode: Inode) => void) | undefined;

  constructor(
    readonly core: VolumeCore,
    readonly seat: Seat,
    readonly baseIds: BaseIds,
  ) {}

  /** The inode in a view; undefined when the view has none (or it is gone). */
  get(view: View, ino: number): Inode | undefined {
    const inode = this.#find(view, ino);
    // In another view the file may have no record, and the caller has only its number.
    if (inode?.base !== undefined) this.rememberBase(ino, inode.base.path);
    return inode;
  }

  /**
   * The record of a file in the base layer; undefined: none. What it says about the base counts for
   * the records of all layers (rule F10).
   */
  baseRecord(ino: number): Inode | undefined {
    const { core } = this;
    if (!core.hasBaseRecords) return undefined;
    const pending = this.#pendingBaseRecord(ino);
    if (pending !== undefined) return pending;
    const value = core.reader.get(TABLE.inodes, inodeKey(core.fileset, ino, BASE_LAYER));
    if (value === undefined) return undefined;
    const inode = new Inode(ino);
    if (!decodeInode(value, inode, () => `inode ${ino} in the base layer`)) return undefined;
    inode.layer = BASE_LAYER;
    return inode;
  }

  #pendingBaseRecord(ino: number): Inode | undefined {
    for (const txg of [this.core.open, this.core.closing]) {
      const own = txg?.layers.get(BASE_LAYER)?.inodes.get(ino);
      if (own) return own;
    }
    return undefined;
  }

  /** Takes over what the base layer says about the inode's base file (rule F10). */
  #withBase(inode: Inode): Inode {
    if (inode.base === undefined || !this.core.hasBaseRecords) return inode;
    const { ino } = inode;
    const isOwn = inode.layer === BASE_LAYER;
    const base = (isOwn ? this.#pendingBaseRecord(ino) : this.baseRecord(ino))?.base;
    if (base !== undefined && (isOwn || isOfState(base, inode.base))) inode.base = base;
    return inode;
  }

  #find(view: View, ino: number): Inode | undefined {
    view.cache.follow(this.core.baseEpoch);
    for (const changes of this.core.pendingChanges(view)) {
      const changed = changes.inodes.get(ino);
      if (changed !== undefined) return changed ?? undefined;
    }
    const cached = view.cache.get(ino);
    if (cached !== undefined) return cached ?? undefined;
    const inode = this.#stored(view, ino);
    // A missing base file is not cached: its path may become known later.
    if (inode !== undefined || this.core.base === undefined) view.cache.set(ino, inode ?? null);
    return inode;
  }

  #stored(view: View, ino: number): Inode | undefined {
    const found = this.core.newest(TABLE.inodes, inodePlace(view.fileset, ino), view);
    if (found === undefined) return this.#untouched(ino);
    const inode = new Inode(ino);
    const { layer, value } = found;
    if (!decodeInode(value, inode, () => `inode ${ino} in layer ${layer}`)) return undefined;
    inode.layer = layer;
    return this.#withBase(inode);
  }

  /**
   * Puts the inodes of listed names into the view's cache, at a fraction of the
   * cost of a `get` for each. Inodes that this can't read are left to `get`,
   * with its error.
   */
  prefetch(view: View, names: readonly { ino: number }[]): void {
    view.cache.follow(this.core.baseEpoch);
    const pending = this.core.pendingChanges(view);
    const isChanged = (ino: number): boolean => pending.some(({ inodes }) => inodes.has(ino));
    const missing: number[] = [];
    for (const { ino } of names) {
      if (ino === 0 || view.cache.get(ino) !== undefined) continue;
      if (pending.length === 0 || !isChanged(ino)) missing.push(ino);
    }
    const inos = Float64Array.from(missing).sort();
    const loaded: Inode[] = [];
    visitInodes(this.core.reader, view, inos, (ino, layer, { value, valueLength }) => {
      const inode = new Inode(ino);
      try {
        if (!decodeInode(value, inode, () => `inode ${ino}`, valueLength)) return;
      } catch (error) {
        if (error instanceof CorruptionError) return;
        throw error;
      }
      inode.layer = layer;
      loaded.push(inode);
    });
    // `visitInodes` allows no call into the store in between.
    for (const inode of loaded) view.cache.set(inode.ino, this.#withBase(inode));
  }

  /** A base file without a record: its attributes come from the base directory. */
  #untouched(ino: number): Inode | undefined {
    const base = this.core.base;
    if (base === undefined) return undefined;
    const path = ino === ROOT_INODE ? '' : this.core.basePaths.get(ino);
    if (path === undefined) return undefined;
    return this.untouchedAt(ino, path);
  }

  /** A base file with this number as it is now, whatever the records say; undefined: none. */
  untouchedAt(ino: number, path: string): Inode | undefined {
    const stat = this.core.base?.lstat(path);
    if (stat === undefined || this.baseIds.numberOf(stat) !== ino) return undefined;
    return this.#fromBase(ino, path, stat);
  }

  #fromBase(ino: number, path: string, stat: BaseStat): Inode {
    const inode = new Inode(ino);
    inode.mode = stat.mode;
    inode.uid = stat.uid;
    inode.gid = stat.gid;
    inode.rdev = stat.rdev;
    inode.nlink = stat.nlink;
    inode.size = stat.size;
    inode.allocated = stat.blocks * 512;
    // Some file systems allow times that a stream can't carry.
    const atime = heldTime(stat.atimeS, stat.atimeNs);
    inode.atimeS = atime.s;
    inode.atimeNs = atime.ns;
    const mtime = heldTime(stat.mtimeS, stat.mtimeNs);
    inode.mtimeS = mtime.s;
    inode.mtimeNs = mtime.ns;
    inode.ctimeS = stat.ctimeS;
    inode.ctimeNs = stat.ctimeNs;
    inode.btimeS = stat.btimeS;
    inode.btimeNs = stat.btimeNs;
    inode.birthLayer = BASE_LAYER;
    if (inode.isSymlink) inode.target = this.core.base?.readlink(path);
    inode.base = {
      path,
      // 0 means the base directory's own device, whose number may change with each boot.
      device: stat.device === this.core.base?.rootStat.device ? 0 : stat.device,
      hostInode: stat.hostInode,
      size: stat.size,
      mtimeS: stat.mtimeS,
      mtimeNs: stat.mtimeNs,
      ctimeS: stat.ctimeS,
      ctimeNs: stat.ctimeNs,
    };
    return inode;
  }

  /** The inode number of a base file, remembered so that `get` finds it by number. */
  ofBase(path: string, stat: BaseStat): number {
    const ino = this.baseIds.numberOf(stat);
    // What was found there counts more than where it was once.
    if (ino !== ROOT_INODE && this.core.basePaths.get(ino) !== path) {
      this.core.basePaths.set(ino, path);
    }
    return ino;
  }

  /** Remembers the path of a listed base file. */
  rememberBase(ino: number, path: string): void {
    if (ino !== ROOT_INODE && !this.core.basePaths.has(ino)) this.core.basePaths.set(ino, path);
  }

  /** The live inode for a change: the copy that belongs to the open txg. */
  forChange(ino: number): Inode {
    const changes = this.seat.changes();
    const own = changes.inodes.get(ino);
    changes.since?.inodes.add(ino);
    if (own !== undefined && own !== null) return own;
    const current = own === null ? undefined : this.get(this.seat.live, ino);
    if (current === undefined) throw new FsError('ESTALE', 'inode', String(ino));
    this.core.admit(1, INODE_RECORD_BYTES);
    const copy = current.clone();
    const isFirst = copy.layer === 0;
    if (copy.layer !== changes.layer) {
      if (isFirst) this.#nameFromBase(copy);
      copy.layer = changes.layer;
      copy.step = 1;
    }
    changes.inodes.set(ino, copy);
    this.core.open.note(INODE_RECORD_BYTES);
    if (isFirst && ino !== ROOT_INODE) this.#keepName?.(copy);
    return copy;
  }

  /** `keepName` is called for a base file that has its first record. */
  onFirstRecord(keepName: (inode: Inode) => void): void {
    this.#keepName = keepName;
  }

  /** A base file's first record gets the file's name, so that its path can be found. */
  #nameFromBase(inode: Inode): void {
    const name = this.nameInBase(inode);
    if (name !== undefined) inode.links = [name];
  }

  /** The name that a base file has there; undefined: it has none, or its directory is gone. */
  nameInBase({ base }: Inode): LinkName | undefined {
    const path = base?.path ?? '';
    if (path === '') return undefined;
    const above = parentOf(path);
    const stat = this.core.base?.lstat(above);
    if (stat === undefined) return undefined;
    return { parent: this.ofBase(above, stat), name: path.slice(path.lastIndexOf('/') + 1) };
  }

  /** Adds a new inode to the open txg. */
  add(inode: Inode): void {
    this.core.admit(1, INODE_RECORD_BYTES);
    const changes = this.seat.changes();
    inode.layer = changes.layer;
    inode.birthLayer = changes.layer;
    changes.inodes.set(inode.ino, inode);
    changes.since?.inodes.add(inode.ino);
    this.core.open.newInodes.add(inode.ino);
    this.core.open.note(INODE_RECORD_BYTES);
  }
}

/** Numbers left out between two wanted ones that are stepped over rather than looked up anew. */
const MAX_GAP = 4;

/**
 * Many inode records at once: those of a directory's children mostly lie side by side, since they
 * were made one after the other, and stepping to the next record costs a fraction of looking it up.
 *
 * Gives the newest version that the view sees (rule F1) of each inode that has
 * one in LMDB, in ascending order, once. `inos` ascends; a file with several
 * names in a directory may be in it several times. `take` may neither keep the
 * record nor call into the store.
 */
export function visitInodes(
  reader: TableReader,
  view: View,
  inos: ArrayLike<number>,
  take: (ino: number, layer: number, record: RecordView) => void,
): void {
  const wanted = (at: number): number => inos[at] as number;
  for (let at = 0, last = 0; at < inos.length; at = last + 1) {
    last = at;
    while (last + 1 < inos.length && wanted(last + 1) - wanted(last) <= MAX_GAP) last++;
    const start = inodeKey(view.fileset, wanted(at), view.top);
    const end = inodeKey(view.fileset, wanted(last) + 1, MAX_LAYER);
    let next = at;
    visitStored(reader, view, TABLE.inodes, start, end, (record, layer) => {
      const ino = uint64At(record.keyBytes, record.keyStart + 4);
      while (next <= last && wanted(next) < ino) next++;
      if (next > last) return false;
      if (wanted(next) !== ino) return true;
      take(ino, layer, record);
      return next < last;
    });
  }
}
