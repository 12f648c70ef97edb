/**
 * What stands in the way of an apply, found before anything is touched: places
 * that the base and the tree both changed (conflicts, rule A2), and what this
 * process may not or can not do to the base (refusals, rule A3).
 */
import { goneSince } from '../../format/records/inode-record.js';
import { inodePlace } from '../../format/records/keys.js';
import { TABLE } from '../../format/records/tables.js';
import { S_IFBLK, S_IFCHR, S_IFMT } from '../../lib/file-mode.js';
import type { Work } from '../../lib/work.js';
import {
  STATX_ATTR_APPEND,
  STATX_ATTR_IMMUTABLE,
  STATX_ATTR_MOUNT_ROOT,
} from '../../libc/statx.js';
import type { BaseDirectory, BaseStat } from '../../base/base-directory.js';
import type { BaseWriter } from '../../base/writing/base-writer.js';
import type { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';
import type { ApplyPlan } from './plan.js';
import { parentOf, type Slots } from './slots.js';

export interface Version {
  sizeBytes: number;
  mtimeMs: number;
}

/** A place that the base and the tree both changed. */
export interface Conflict {
  /** In the base, a byte string. */
  path: string;
  /** What happened in the base since the tree saw it. */
  base: 'appeared' | 'changed' | 'vanished';
  inBase: Version | null;
  inTree: Version | null;
}

/** Why a file can't be changed: stable words. */
export type Reason =
  | 'not-writable'
  | 'owner'
  | 'device'
  | 'xattr'
  | 'immutable'
  | 'mounted'
  | 'other-device';

export interface Refusal {
  path: string;
  reason: Reason;
}

/** Who this process is. */
export interface Rights {
  uid: number;
  groups: ReadonlySet<number>;
}

const AT_ONCE = 32;

export class BaseComparison {
  readonly conflicts: Conflict[] = [];
  readonly refusals: Refusal[] = [];
  readonly #judged = new Set<string>();
  readonly #parents = new Set<string>();

  constructor(
    readonly volume: ReadableVolume,
    readonly base: BaseDirectory,
    readonly slots: Slots,
    readonly target: View,
    readonly plan: ApplyPlan,
  ) {}

  *conflicted(): Work<void> {
    let seen = 0;
    for (const { before, after, beforePath } of this.plan.slots) {
      if (++seen % AT_ONCE === 0) yield undefined;
      if (beforePath !== undefined) this.#judge(beforePath, before, after);
    }
    for (const { ino, inode } of this.plan.attributes) {
      if (++seen % AT_ONCE === 0) yield undefined;
      const before = this.slots.before(ino);
      const [path] = before === undefined ? [] : this.slots.beforePaths(ino);
      if (path !== undefined) this.#judge(path, before, inode);
    }
    this.conflicts.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #judge(path: string, before: Inode | undefined, after: Inode | undefined): void {
    if (this.#judged.has(path)) return;
    this.#judged.add(path);
    const found = this.base.lstat(path);
    const what = this.#difference(path, before, after, found);
    if (what === undefined) return;
    this.conflicts.push({
      path,
      base: what,
      inBase: found === undefined ? null : versionOf(found),
      inTree: after === undefined ? null : versionOf(after),
    });
  }

  #difference(
    path: string,
    before: Inode | undefined,
    after: Inode | undefined,
    found: BaseStat | undefined,
  ): Conflict['base'] | undefined {
    if (before === undefined) return found === undefined ? undefined : 'appeared';
    if (found === undefined) return after === undefined ? undefined : 'vanished';
    if (before.mode >>> 12 !== found.mode >>> 12) return 'changed';
    const { ino, base } = before;
    if (base === undefined || base.isStored) {
      return this.#isAsApplied(path, before, found) ? undefined : 'changed';
    }
    if (this.volume.inodes.baseIds.numberOf(found) !== ino) return 'changed';
    const seen = this.volume.inode(this.target, ino);
    // The tree never knew what it would take away.
    const isUnseen = seen?.layer === 0 && after?.ino !== ino;
    if (seen === undefined || isUnseen) return this.#sinceGone(ino, before, found);
    if (before.isDirectory || seen.layer === 0 || seen.base === undefined) return undefined;
    return isSameIdentity(seen.base, found) ? undefined : 'changed';
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
    }
    for (const { ino, inode, path, isOnlyTimes } of plan.attributes) {
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
    else if (inode.gid !== found?.gid && !who.groups.has(inode.gid)) this.#refuse(path, 'owner');
    else if (found === undefined && (type === S_IFBLK || type === S_IFCHR)) {
      this.#refuse(path, 'device');
    } else if (this.#hasPrivilegedXattr(inode)) this.#refuse(path, 'xattr');
  }

  #hasPrivilegedXattr(inode: Inode): boolean {
    const names = this.volume.listAttributes(this.target, inode);
    return names.some((name) => name.startsWith('trusted.') || name === 'security.capability');
  }
}

function versionOf(what: BaseStat | Inode): Version {
  return { sizeBytes: what.size, mtimeMs: what.mtimeS * 1000 + Math.floor(what.mtimeNs / 1e6) };
}

function isSameIdentity(
  ref: { size: number; mtimeS: number; mtimeNs: number; ctimeS: number; ctimeNs: number },
  found: BaseStat,
): boolean {
  return (
    ref.size === found.size &&
    ref.mtimeS === found.mtimeS &&
    ref.mtimeNs === found.mtimeNs &&
    ref.ctimeS === found.ctimeS &&
    ref.ctimeNs === found.ctimeNs
  );
}
