/**
 * What stands in the way of an apply, found before anything is touched: places
 * that the base and the tree both changed (conflicts, rule A2), and what this
 * process may not or can not do to the base (refusals, rule A3).
 */
import { parentOf } from '../../lib/paths.js';
import { sortInPieces } from '../../lib/sorting.js';
import { goneSince } from '../../format/records/inode-record.js';
import { inodePlace } from '../../format/records/keys.js';
import { ROOT_INODE, TABLE } from '../../format/records/tables.js';
import { S_IFBLK, S_IFCHR, S_IFMT } from '../../lib/file-mode.js';
import type { Work } from '../../lib/work.js';
import {
  STATX_ATTR_APPEND,
  STATX_ATTR_IMMUTABLE,
  STATX_ATTR_MOUNT_ROOT,
} from '../../libc/statx.js';
import type { BaseDirectory, BaseStat } from '../../base/base-directory.js';
import { isSameState, isStatOf } from '../../base/base-stat.js';
import type { BaseWriter } from '../../base/writing/base-writer.js';
import type { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';
import type { ApplyPlan } from './plan.js';
import { Sameness } from './same-object.js';
import type { Slots } from './slots.js';

export interface Version {
  sizeBytes: number;
  mtimeMs: number;
}

/** A place that the base and the tree both changed. */
export interface Conflict {
  /** In the base, a byte string. */
  path: string;
  /** Where the tree has it, or would have it. */
  treePath: string;
  /** What happened in the base since the tree saw it. */
  base: 'appeared' | 'changed' | 'vanished';
  inBase: Version | null;
  inTree: Version | null;
  /** If the tree's version replaces it, the base's is in the snapshot of what the base was. */
  isKept: boolean;
}

/** Why a file can't be changed: stable words. */
export type Reason =
  | 'not-writable'
  | 'owner'
  | 'group'
  | 'device'
  | 'xattr'
  | 'immutable'
  | 'mounted'
  | 'other-device'
  | 'lost';

export interface Refusal {
  path: string;
  reason: Reason;
}

/** Who this process is. */
export interface Rights {
  uid: number;
  groups: ReadonlySet<number>;
}

const AT_ONCE = 8;
const BLOCKS_AT_ONCE = 256;

export class BaseComparison {
  readonly conflicts: Conflict[] = [];
  readonly refusals: Refusal[] = [];
  readonly #judged = new Set<string>();
  readonly #parents = new Set<string>();
  readonly #sameness: Sameness;
  /** Places in the base from which objects are taken that stay. */
  readonly #needed: ReadonlySet<string>;

  constructor(
    readonly volume: ReadableVolume,
    readonly base: BaseDirectory,
    readonly slots: Slots,
    readonly target: View,
    readonly plan: ApplyPlan,
  ) {
    this.#sameness = new Sameness(volume, base, target);
    this.#needed = new Set([...plan.links, ...plan.out, ...plan.direct].map(({ from }) => from));
  }

  *conflicted(): Work<void> {
    let seen = 0;
    for (const { before, after, beforePath, afterPath } of this.plan.slots) {
      if (++seen % AT_ONCE === 0) yield undefined;
      if (beforePath !== undefined) yield* this.#judge(beforePath, before, after, afterPath);
    }
    for (const { ino, inode, path: afterPath } of this.plan.attributes) {
      if (++seen % AT_ONCE === 0) yield undefined;
      const before = this.slots.before(ino);
      const [path] = before === undefined ? [] : this.slots.beforePaths(ino);
      if (path !== undefined) yield* this.#judge(path, before, inode, afterPath);
    }
    // Where there was no earlier apply, what the base has lost is in no view of it.
    for (const { inode } of [...this.plan.newDirectories, ...this.plan.made]) {
      if (++seen % AT_ONCE === 0) yield undefined;
      const { ino, base } = inode;
      if (base === undefined || base.isStored || this.slots.before(ino) !== undefined) continue;
      yield* this.#judge(base.path, undefined, inode, this.volume.paths.of(this.target, ino), true);
    }
    yield* sortInPieces(this.conflicts, (a, b) => (a.path < b.path ? -1 : 1));
  }

  *#judge(
    path: string,
    before: Inode | undefined,
    after: Inode | undefined,
    afterPath: string | undefined,
    wasInBase = false,
  ): Work<void> {
    if (this.#judged.has(path)) return;
    this.#judged.add(path);
    const found = this.base.lstat(path);
    const what =
      wasInBase && found === undefined ? 'vanished' : this.#difference(path, before, after, found);
    if (what === undefined) return;
    // Where the tree has nothing in that place, what was there may have got another one.
    const moved =
      after !== undefined || before === undefined
        ? undefined
        : this.volume.paths.of(this.target, before.ino);
    const treePath = moved ?? afterPath ?? path;
    const inTree = this.#inTree(treePath);
    if (found !== undefined && inTree !== undefined) {
      if (yield* this.#sameness.isSame(path, found, inTree)) return;
    }
    this.conflicts.push({
      path,
      treePath,
      base: what,
      inBase: found === undefined ? null : versionOf(found),
      inTree: inTree === undefined ? null : versionOf(inTree),
      // The base layer keeps what views read from the base, and others changed something else.
      isKept: found === undefined || before?.layer === 0,
    });
  }

  #inTree(path: string): Inode | undefined {
    let at = this.volume.inode(this.target, ROOT_INODE);
    for (const name of path === '' ? [] : path.split('/')) {
      at = at?.isDirectory ? this.volume.lookup(this.target, at, name) : undefined;
    }
    return at;
  }

  #difference(
    path: string,
    before: Inode | undefined,
    after: Inode | undefined,
    found: BaseStat | undefined,
  ): Conflict['base'] | undefined {
    if (before === undefined) return found === undefined ? undefined : 'appeared';
    if (found === undefined) {
      return after === undefined && !this.#needed.has(path) ? undefined : 'vanished';
    }
    if (before.mode >>> 12 !== found.mode >>> 12) return 'changed';
    const { ino, base } = before;
    if (base === undefined || base.isStored) {
      const { given } = before;
      const isLost = given && !isStatOf(found, given.ref, this.base.rootStat.device);
      return !isLost && this.#isAsApplied(path, before, found) ? undefined : 'changed';
    }
    if (this.volume.inodes.baseIds.numberOf(found) !== ino) return 'changed';
    const seen = this.volume.inode(this.target, ino);
    // The tree never knew what it would take away.
    const isUnseen = seen?.layer === 0 && after?.ino !== ino;
    if (seen === undefined || isUnseen) return this.#sinceGone(ino, before, found);
    if (before.isDirectory || seen.layer === 0 || seen.base === undefined) return undefined;
    return isSameState(seen.base, found) ? undefined : 'changed';
  }

  /** The tree removed it: did it see what is there now? */
  #sinceGone(ino: number, before: Inode, found: BaseStat): Conflict['base'] | undefined {
    const record = this.volume.newest(
      TABLE.inodes,
      inodePlace(this.target.fileset, ino),
      this.target,
    );
    if (record === undefined) return 'appeared';
    const goneMs = goneSince(record.value);
    if (before.isDirectory || goneMs === undefined) return undefined;
    return found.ctimeS * 1000 + found.ctimeNs / 1e6 > goneMs ? 'changed' : undefined;
  }

  #isAsApplied(path: string, before: Inode, found: BaseStat): boolean {
    if (before.isSymlink) return this.base.readlink(path) === before.target;
    if (before.isDirectory) return true;
    if (!before.isRegular) return before.rdev === found.rdev;
    return (
      found.size === before.size &&
      found.mtimeS === before.mtimeS &&
      found.mtimeNs === before.mtimeNs
    );
  }

  /** `writer`: what asks the kernel; `who`: whose rights count. */
  *refused(writer: BaseWriter, who: Rights): Work<void> {
    const { plan } = this;
    let seen = 0;
    this.#refuseDirectory(writer, '');
    for (const { beforePath, before, after } of plan.slots) {
      if (++seen % AT_ONCE === 0) yield undefined;
      if (beforePath === undefined || (before === undefined && after === undefined)) continue;
      this.#refuseDirectory(writer, parentOf(beforePath));
      if (before !== undefined) this.#refuseObject(beforePath);
    }
    for (const { inode } of [...plan.newDirectories, ...plan.made]) {
      if (++seen % AT_ONCE === 0) yield undefined;
      this.#refuseMaking(inode, who);
      if (yield* this.#isTorn(inode)) {
        this.#refuse(this.volume.paths.of(this.target, inode.ino) ?? '', 'lost');
      }
    }
    yield* this.#refusedAttributes(who);
  }

  *#refusedAttributes(who: Rights): Work<void> {
    let seen = 0;
    for (const { ino, inode, path, isOnlyTimes } of this.plan.attributes) {
      if (++seen % AT_ONCE === 0) yield undefined;
      if (this.slots.before(ino) === undefined) continue;
      const [at] = ino === 1 ? [''] : this.slots.beforePaths(ino);
      const found = at === undefined ? undefined : this.base.lstat(at);
      if (found === undefined) continue;
      if (who.uid !== 0 && found.uid !== who.uid) this.#refuse(path, 'owner');
      else if (!isOnlyTimes) this.#refuseMaking(inode, who, found);
    }
  }

  #refuse(path: string, reason: Reason): void {
    this.refusals.push({ path, reason });
  }

  #refuseDirectory(writer: BaseWriter, path: string): void {
    if (this.#parents.has(path)) return;
    this.#parents.add(path);
    const found = this.base.lstat(path);
    if (found === undefined) return;
    if (found.device !== this.base.rootStat.device) this.#refuse(path, 'other-device');
    else if (writer.mayChangeNames(path) < 0) this.#refuse(path, 'not-writable');
    else if (found.attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
      this.#refuse(path, 'immutable');
    }
  }

  #refuseObject(path: string): void {
    const found = this.base.lstat(path);
    if (found === undefined) return;
    if (found.device !== this.base.rootStat.device) this.#refuse(path, 'other-device');
    else if (found.attributes & STATX_ATTR_MOUNT_ROOT) this.#refuse(path, 'mounted');
    else if (found.attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
      this.#refuse(path, 'immutable');
    }
  }

  /** What only root may do. `found`: the file is there already. */
  #refuseMaking(inode: Inode, who: Rights, found?: BaseStat): void {
    if (who.uid === 0) return;
    const path = this.volume.paths.of(this.target, inode.ino) ?? '';
    const type = inode.mode & S_IFMT;
    if (inode.uid !== (found?.uid ?? who.uid)) this.#refuse(path, 'owner');
    else if (inode.gid !== found?.gid && !who.groups.has(inode.gid)) this.#refuse(path, 'group');
    else if (found === undefined && (type === S_IFBLK || type === S_IFCHR)) {
      this.#refuse(path, 'device');
    } else if (this.#hasPrivilegedXattr(inode)) this.#refuse(path, 'xattr');
  }

  /** A part of it was in the base and is there no more. */
  *#isTorn(inode: Inode): Work<boolean> {
    const base = inode.bytesInBase;
    if (!inode.isRegular || base === undefined || base.isStored) return false;
    const found = this.base.lstat(base.path);
    if (found !== undefined && isSameState(base, found)) return false;
    const { blocks } = this.volume;
    const count = blocks.baseBlocks(inode);
    for (let first = 0; first < count; first += BLOCKS_AT_ONCE) {
      const last = Math.min(first + BLOCKS_AT_ONCE, count) - 1;
      const sources = blocks.sources(this.target, inode, first, last);
      if (sources.some(({ where }) => where === 'base')) return true;
      yield undefined;
    }
    return false;
  }

  #hasPrivilegedXattr(inode: Inode): boolean {
    const names = this.volume.listAttributes(this.target, inode);
    return names.some((name) => name.startsWith('trusted.') || name === 'security.capability');
  }
}

function versionOf(what: BaseStat | Inode): Version {
  return { sizeBytes: what.size, mtimeMs: what.mtimeS * 1000 + Math.floor(what.mtimeNs / 1e6) };
}
