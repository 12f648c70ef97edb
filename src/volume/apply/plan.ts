/**
 * From the names that differ to what is done to the base: which objects are
 * made anew, which ones get another place, which go, whose attributes change.
 * Changes nothing.
 *
 * Order of what is done, so that whoever reads the base meets each file as it
 * was or as it will be:
 * 1. files that get other names are linked into the staging directory;
 * 2. directories whose way is not free move there; others move at once;
 * 3. new directories with everything new in them, then moved ones, then files
 *    take their places: each by one rename, from the top down;
 * 4. names that go are removed, directories by one rename;
 * 5. attributes; those of directories last, the deepest ones first.
 */
import { parentOf } from '../../lib/paths.js';
import { sortInPieces } from '../../lib/sorting.js';
import { ROOT_INODE } from '../../format/records/tables.js';
import type { Work } from '../../lib/work.js';
import { areSameClips } from '../../format/clips.js';
import { isSameGiven } from '../../format/given.js';
import type { Inode } from '../inode.js';
import { joinPath } from '../names/inode-reader.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';
import { typeOf, type DiffType } from '../diff/diff.js';
import { hasOtherStates } from './other-states.js';
import type { Slot, Slots } from './slots.js';

export type ApplyDetail = 'content' | 'attributes' | 'link';

/** One line of what is going to be done, for people. */
export interface ApplyItem {
  kind: 'added' | 'changed' | 'removed' | 'renamed';
  /** In the tree; of what is removed, in the base. A byte string. */
  path: string;
  oldPath?: string;
  type: DiffType;
  sizeBytes: number;
  details?: ApplyDetail[];
}

/** A file, link or device that is made in the staging directory. */
export interface Made {
  inode: Inode;
  /** Where it is made. */
  at: string;
  /** Its further names there. */
  links: string[];
}

/** A place in the base that is to lead to another object. */
export interface Placement {
  ino: number;
  from: string;
  to: string;
  slot: Slot;
  /** The object is the base's own and keeps its content. */
  isKept: boolean;
}

export interface KeptAttributes {
  ino: number;
  path: string;
  inode: Inode;
  /** Only the times are set. */
  isOnlyTimes: boolean;
}

export interface ApplyPlan {
  items: ApplyItem[];
  /** Names that differ, and unchanged names of files that are made anew. */
  slots: Slot[];
  newDirectories: Made[];
  made: Made[];
  /** Kept files are linked, by their path in the base. */
  links: { ino: number; from: string; to: string }[];
  /** Directories that have to wait in the staging directory. */
  out: { ino: number; from: string; to: string }[];
  /** Moved at once. */
  direct: Placement[];
  /** New and waiting directories, from the top down, then files. */
  placements: Placement[];
  drops: { slot: Slot; path: string }[];
  attributes: KeptAttributes[];
  /** Files whose content is made anew: what the base has of them goes. */
  replaced: Set<number>;
  /** Kept files whose names no record knows: the base is searched for one. */
  unnamed: Set<number>;
  /** A name in the tree of each of them. */
  found: Map<number, string>;
  /** Directories that are in both, and whose names or attributes change. */
  directories: Set<number>;
  addedBytes: number;
}

/** Looked at between two pauses: what reads records, and what does not. */
const INODES_AT_ONCE = 8;
const SLOTS_AT_ONCE = 256;

/** The tree's version of a kept file has other bytes. Conservative: a file that was rewritten counts. */
function hasOtherContent(before: Inode, after: Inode): boolean {
  if (after.isSymlink) return before.target !== after.target;
  if (!after.isRegular) return before.rdev !== after.rdev;
  if (before.size !== after.size || before.dataLayer !== after.dataLayer) return true;
  return !isSameGiven(before.given, after.given) || !areSameClips(before.clips, after.clips);
}

export class Planner {
  readonly plan: ApplyPlan = {
    items: [],
    slots: [],
    newDirectories: [],
    made: [],
    links: [],
    out: [],
    direct: [],
    placements: [],
    drops: [],
    attributes: [],
    replaced: new Set(),
    unnamed: new Set(),
    found: new Map(),
    directories: new Set(),
    addedBytes: 0,
  };
  readonly #bySource = new Map<number, Slot[]>();
  readonly #byTarget = new Map<number, Slot[]>();
  /** New directory → where it is made. */
  readonly #staged = new Map<number, string>();
  /** Paths, in the base and in the tree, of directories that come, go or move. */
  readonly #unstable = new Set<string>();
  /** Kept files with other attributes and no name that a record knows. */
  readonly #nameless: Inode[] = [];
  #names = 0;

  constructor(
    readonly volume: ReadableVolume,
    readonly slots: Slots,
    readonly target: View,
    /** The name of the staging directory. */
    readonly staging: string,
  ) {}

  #stagingName(): string {
    return `${this.staging}/${this.#names++}`;
  }

  *make(): Work<ApplyPlan> {
    const { plan, slots } = this;
    plan.slots = [...slots.slots];
    let seen = 0;
    for (const slot of slots.slots) {
      if (++seen % SLOTS_AT_ONCE === 0) yield undefined;
      if (slot.before !== undefined) note(this.#bySource, slot.before.ino, slot);
      if (slot.after !== undefined) note(this.#byTarget, slot.after.ino, slot);
    }
    yield* this.#directories();
    for (const ino of this.#inos()) {
      if (++seen % INODES_AT_ONCE === 0) yield undefined;
      this.#inode(ino);
    }
    return plan;
  }

  /** Everything that is planned, each once. */
  *#inos(): Generator<number> {
    yield* this.#byTarget.keys();
    for (const ino of this.#bySource.keys()) if (!this.#byTarget.has(ino)) yield ino;
    for (const ino of this.slots.touched) {
      if (!this.#byTarget.has(ino) && !this.#bySource.has(ino)) yield ino;
    }
  }

  /** New directories from the top down, then those that move. */
  *#directories(): Work<void> {
    const { plan, slots } = this;
    const came: { slot: Slot; depth: number }[] = [];
    let seen = 0;
    for (const slot of slots.slots) {
      if (++seen % SLOTS_AT_ONCE === 0) yield undefined;
      if (slot.before?.isDirectory) this.#unstable.add(slot.beforePath as string);
      if (!slot.after?.isDirectory) continue;
      const path = slot.afterPath as string;
      this.#unstable.add(path);
      came.push({ slot, depth: depthOf(path) });
    }
    yield* sortInPieces(came, (a, b) => a.depth - b.depth);
    for (const { slot } of came) {
      if (++seen % INODES_AT_ONCE === 0) yield undefined;
      const { ino } = slot.after as Inode;
      if (slots.before(ino) === undefined) this.#newDirectory(slot);
      else this.#movedDirectory(slot);
    }
    yield* sortInPieces(plan.out, (a, b) => depthOf(b.from) - depthOf(a.from));
  }

  #newDirectory(slot: Slot): void {
    const inode = slot.after as Inode;
    const above = this.#staged.get(slot.directory);
    const at = above === undefined ? this.#stagingName() : joinPath(above, slot.name);
    this.#staged.set(inode.ino, at);
    this.plan.newDirectories.push({ inode, at, links: [] });
    this.#item('added', slot.afterPath as string, inode);
    const path = slot.afterPath as string;
    this.plan.attributes.push({ ino: inode.ino, path, inode, isOnlyTimes: false });
    if (above === undefined) this.#place(inode.ino, at, slot, false);
  }

  #movedDirectory(slot: Slot): void {
    const inode = slot.after as Inode;
    const source = this.#bySource.get(inode.ino)?.[0];
    if (source === undefined) return;
    const from = source.beforePath as string;
    this.plan.items.push({
      ...line('renamed', slot.afterPath as string, inode),
      oldPath: from,
    });
    this.plan.directories.add(inode.ino);
    const isFree =
      slot.before === undefined &&
      this.#isStable(parentOf(from)) &&
      this.#isStable(parentOf(slot.afterPath as string));
    if (isFree) {
      const to = slot.afterPath as string;
      this.plan.direct.push({ ino: inode.ino, from, to, slot, isKept: true });
      return;
    }
    const to = this.#stagingName();
    this.plan.out.push({ ino: inode.ino, from, to });
    this.#place(inode.ino, to, slot, true);
  }

  /** No directory on the way comes, goes or moves. */
  #isStable(path: string): boolean {
    for (let at = path; at !== ''; at = parentOf(at)) if (this.#unstable.has(at)) return false;
    return true;
  }

  #place(ino: number, from: string, slot: Slot, isKept: boolean): void {
    this.plan.placements.push({ ino, from, to: slot.afterPath as string, slot, isKept });
  }

  #inode(ino: number): void {
    const before = this.slots.before(ino);
    const after = this.slots.after(ino);
    if (after === undefined) {
      for (const { beforePath } of this.#bySource.get(ino) ?? []) {
        if (before !== undefined) this.#item('removed', beforePath as string, before);
      }
      return;
    }
    if (after.isDirectory) {
      if (before !== undefined) this.#keptAttributes(before, after);
      return;
    }
    if (before === undefined) this.#made(after, this.#byTarget.get(ino) ?? [], 'added');
    else if (hasOtherContent(before, after) || this.#isOther(before)) this.#remade(before, after);
    else this.#kept(before, after);
  }

  /** Others have changed it in the base: what the volume knows of it is another file by now. */
  #isOther({ ino, base, layer, isRegular }: Inode): boolean {
    if (!isRegular || base === undefined || base.isStored || layer !== 0) return false;
    return hasOtherStates(this.volume, ino, base);
  }

  /** A file that is made anew under all of its names. */
  #made(inode: Inode, slots: readonly Slot[], kind: 'added' | 'changed'): void {
    const { plan } = this;
    const [first, ...rest] = slots;
    // Without a name that a record knows, it gets those that are found in the base.
    const at = first === undefined ? this.#stagingName() : this.#atOf(first);
    const made: Made = { inode, at, links: [] };
    plan.made.push(made);
    plan.addedBytes += inode.isRegular ? inode.allocated : 0;
    if (first === undefined) return;
    if (!this.#staged.has(first.directory)) this.#place(inode.ino, made.at, first, false);
    for (const slot of rest) {
      const at = this.#atOf(slot);
      made.links.push(at);
      if (!this.#staged.has(slot.directory)) this.#place(inode.ino, at, slot, false);
    }
    for (const slot of slots) {
      const path = slot.afterPath as string;
      const isOwn = kind === 'changed' && slot.before?.ino === inode.ino;
      if (isOwn) plan.items.push({ ...line('changed', path, inode), details: ['content'] });
      else this.#item('added', path, inode);
    }
  }

  #atOf(slot: Slot): string {
    const above = this.#staged.get(slot.directory);
    return above === undefined ? this.#stagingName() : joinPath(above, slot.name);
  }

  #remade(before: Inode, after: Inode): void {
    const { plan } = this;
    const changed = this.#byTarget.get(after.ino) ?? [];
    const known = new Set(changed.map(({ directory, name }) => `${directory}/${name}`));
    const kept: Slot[] = [];
    for (const { parent, name } of after.links) {
      if (known.has(`${parent}/${name}`)) continue;
      const slot = this.unchangedSlot(parent, name, before, after);
      if (slot !== undefined) kept.push(slot);
    }
    plan.replaced.add(after.ino);
    plan.slots.push(...kept);
    this.#made(after, [...changed, ...kept], 'changed');
  }

  /** A name that leads to the same inode in the base and in the tree. */
  unchangedSlot(parent: number, name: string, before: Inode, after: Inode): Slot | undefined {
    const directory = this.slots.after(parent);
    if (directory === undefined) return undefined;
    const above = parent === ROOT_INODE ? '' : this.volume.paths.of(this.target, parent);
    const [below] = parent === ROOT_INODE ? [''] : this.slots.beforePaths(parent);
    if (above === undefined || below === undefined) return undefined;
    return {
      directory: parent,
      name,
      beforePath: joinPath(below, name),
      afterPath: joinPath(above, name),
      before,
      after,
    };
  }

  /** The base's own file stays; its names and attributes may change. */
  #kept(before: Inode, after: Inode): void {
    const { plan, volume } = this;
    const { ino } = after;
    const lost = this.#bySource.get(ino) ?? [];
    const got = this.#byTarget.get(ino) ?? [];
    // Its record may know none of its names, but knows where the base has it.
    const inBase = before.base?.isStored ? undefined : before.base?.path;
    const from = lost[0]?.beforePath ?? this.slots.beforePaths(ino)[0] ?? inBase;
    const [slot] = got;
    if (slot !== undefined && from === undefined) {
      this.#remade(before, after);
      return;
    }
    if (lost.length === 1 && got.length === 1 && slot !== undefined && from !== undefined) {
      plan.items.push({ ...line('renamed', slot.afterPath as string, after), oldPath: from });
    } else {
      for (const { afterPath } of got) {
        plan.items.push({ ...line('added', afterPath as string, after), details: ['link'] });
      }
      for (const { beforePath } of lost) {
        plan.items.push({ ...line('removed', beforePath as string, before), details: ['link'] });
      }
    }
    if (from !== undefined) this.#newNames(ino, from, lost, got);
    if (lost.length > 0 && volume.paths.of(this.target, ino) === undefined) plan.unnamed.add(ino);
    this.#keptAttributes(before, after);
  }

  #newNames(ino: number, from: string, lost: readonly Slot[], got: readonly Slot[]): void {
    const [slot] = got;
    const [source] = lost;
    if (slot === undefined) return;
    const to = slot.afterPath as string;
    const isGarbage =
      slot.before === undefined ||
      (!slot.before.isDirectory && this.slots.after(slot.before.ino) === undefined);
    const isSimple = lost.length === 1 && got.length === 1 && source?.after === undefined;
    if (isSimple && isGarbage && this.#isStable(parentOf(from)) && this.#isStable(parentOf(to))) {
      this.plan.direct.push({ ino, from, to, slot, isKept: true });
      return;
    }
    for (const one of got) {
      const at = this.#stagingName();
      this.plan.links.push({ ino, from, to: at });
      this.#place(ino, at, one, true);
    }
  }

  #keptAttributes(before: Inode, after: Inode): void {
    const { plan, volume } = this;
    const isChanged =
      before.mode !== after.mode ||
      before.uid !== after.uid ||
      before.gid !== after.gid ||
      !this.#hasSameXattrs(before, after);
    const hasTimes = before.mtimeS !== after.mtimeS || before.mtimeNs !== after.mtimeNs;
    if (!isChanged && (!hasTimes || after.isDirectory)) {
      if (after.isDirectory && hasTimes) plan.directories.add(after.ino);
      return;
    }
    const path = after.ino === ROOT_INODE ? '' : volume.paths.of(this.target, after.ino);
    if (after.isDirectory) plan.directories.add(after.ino);
    if (path === undefined) {
      plan.unnamed.add(after.ino);
      this.#nameless.push(after);
      return;
    }
    this.#setAttributes(after, path);
  }

  #setAttributes(inode: Inode, path: string): void {
    const { plan } = this;
    plan.items.push({ ...line('changed', path, inode), details: ['attributes'] });
    plan.attributes.push({ ino: inode.ino, path, inode, isOnlyTimes: false });
  }

  /** Call when the base was searched for names, and what `made` and `found` lack is added. */
  *finish(): Work<void> {
    for (const inode of this.#nameless) {
      const path = this.plan.found.get(inode.ino);
      if (path !== undefined) this.#setAttributes(inode, path);
    }
    yield* this.#drops();
    yield* this.#parents();
    yield* sortInPieces(this.plan.items, (a, b) =>
      a.path < b.path ? -1 : a.path > b.path ? 1 : 0,
    );
  }

  #hasSameXattrs(before: Inode, after: Inode): boolean {
    const old = this.volume.listAttributes(this.slots.viewBefore(before.ino), before).sort();
    const now = this.volume.listAttributes(this.target, after).sort();
    if (old.join('\0') !== now.join('\0')) return false;
    return now.every((name) => {
      const was = this.volume.readAttribute(this.slots.viewBefore(before.ino), before, name);
      const is = this.volume.readAttribute(this.target, after, name);
      return was !== undefined && is !== undefined && Buffer.compare(was, is) === 0;
    });
  }

  /** Names that lead nowhere in the tree, and whose directory stays. */
  *#drops(): Work<void> {
    const moved = new Set(this.plan.direct.map(({ slot }) => (slot.after as Inode).ino));
    let seen = 0;
    for (const slot of this.slots.slots) {
      if (++seen % SLOTS_AT_ONCE === 0) yield undefined;
      const { before, after, afterPath } = slot;
      if (before === undefined || after !== undefined || afterPath === undefined) continue;
      const isMoved = before.isDirectory && this.slots.after(before.ino) !== undefined;
      if (!isMoved && !moved.has(before.ino)) this.plan.drops.push({ slot, path: afterPath });
    }
  }

  /** A directory in which names change has its times set at the end, the root for the staging. */
  *#parents(): Work<void> {
    const { plan, slots, target, volume } = this;
    let seen = 0;
    plan.directories.add(ROOT_INODE);
    for (const { directory, afterPath } of plan.slots) {
      if (++seen % SLOTS_AT_ONCE === 0) yield undefined;
      if (afterPath !== undefined) plan.directories.add(directory);
    }
    const known = new Set(plan.attributes.map(({ ino }) => ino));
    for (const ino of [...plan.directories]) {
      if (++seen % INODES_AT_ONCE === 0) yield undefined;
      const inode = slots.after(ino);
      const path = ino === ROOT_INODE ? '' : volume.paths.of(target, ino);
      const isNew = inode === undefined || slots.before(ino) === undefined;
      if (isNew || path === undefined) plan.directories.delete(ino);
      else if (!known.has(ino)) {
        plan.attributes.push({ ino, path, inode, isOnlyTimes: true });
      }
    }
    const directories: { one: KeptAttributes; depth: number }[] = [];
    const files: KeptAttributes[] = [];
    for (const one of plan.attributes) {
      if (++seen % SLOTS_AT_ONCE === 0) yield undefined;
      if (one.inode.isDirectory) directories.push({ one, depth: depthOf(one.path) });
      else files.push(one);
    }
    yield* sortInPieces(directories, (a, b) => b.depth - a.depth);
    plan.attributes = [...files, ...directories.map(({ one }) => one)];
  }

  #item(kind: ApplyItem['kind'], path: string, inode: Inode): void {
    this.plan.items.push(line(kind, path, inode));
  }
}

function note(map: Map<number, Slot[]>, ino: number, slot: Slot): void {
  const known = map.get(ino);
  if (known === undefined) map.set(ino, [slot]);
  else known.push(slot);
}

function depthOf(path: string): number {
  return path === '' ? 0 : path.split('/').length;
}

function line(kind: ApplyItem['kind'], path: string, inode: Inode): ApplyItem {
  return { kind, path, type: typeOf(inode), sizeBytes: inode.isRegular ? inode.size : 0 };
}
