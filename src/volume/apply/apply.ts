/**
 * Apply: the tree's changes are brought into the base directory (rules A1–A6 in
 * native-notes/format.md). Work in pieces, in the thread that owns the volume.
 *
 * 1. plan, find conflicts and refusals: nothing is touched;
 * 2. put aside in the base layer what the base will lose, and store it;
 * 3. make what is new in a staging directory in the base;
 * 4. write the journal, then bring everything to its place, step by step; after
 *    each step the volume knows where its base files are;
 * 5. store what was applied, remove the journal and the staging directory.
 *
 * What must hold: no view reads anything differently at any time; cut off
 * before 4 it is undone, from then on it is completed, by the next apply or
 * mount.
 *
 * Doors: apply, carry-out, give-back, journal, journal-file, undo-apply.
 * Doors inside volume/: applied, base-layer, given-records, planning,
 *   take-back.
 */
import { isWithin } from '../../lib/paths.js';
import { CommandError, ERRNO, FsError, messageOf } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { invariant } from '../../lib/invariant.js';
import { answerOf, type Work } from '../../lib/work.js';
import { inodePlace, prefixEnd } from '../../format/records/keys.js';
import { ROOT_FILESET, ROOT_INODE, TABLE } from '../../format/records/tables.js';
import { DIRECTORY_TYPE } from '../../lib/file-mode.js';
import { BaseWriter } from '../../base/writing/base-writer.js';
import type { FileTimes } from '../../libc/files.js';
import type { Inode } from '../inode.js';
import { joinPath } from '../names/inode-reader.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';
import type { Volume } from '../volume.js';
import { type ApplyRecord, appliedParts } from './applied.js';
import { BaseLayer } from './base-layer.js';
import { carryOut, mayChange, resetTimes, type StepHost, timesOf } from './carry-out.js';
import type { Rights } from './compare-base.js';
import { type JournalHead, type Part, stagingName, type Step, type Undoing } from './journal.js';
import { journalState, openJournal, removeJournal, writeJournal } from './journal-file.js';
import { refuseAll, refuseConflicts, shown, shownConflict, shownRefusal } from './obstacle-text.js';
import type { ApplyItem, ApplyPlan } from './plan.js';
import { planned, requireBase } from './planning.js';
import { isBelowOne, type Slot, type Slots } from './slots.js';
import { stepsOf } from './step-list.js';
import { removeTree, stage } from './staging.js';
import { filesTouched, TakingBack } from './take-back.js';

export type { ApplyItem } from './plan.js';

export interface ApplyHost extends StepHost {
  rights: Rights;
}

export interface ApplyRequest {
  /** Byte strings below the root; none: the whole tree. */
  paths: readonly string[];
  /** Conflicts: the tree's version wins. */
  ours: boolean;
  source: string;
  /** It takes an apply back, or does one again. */
  undoing?: Undoing;
  /** The branch whose merge it belongs to: both are taken back together. */
  merged?: string;
}

export interface ApplyOutcome {
  items: ApplyItem[];
  layer: number;
  /** The snapshot of what the base was before. */
  undo?: string;
  storedBytes: number;
  writtenBytes: number;
  /** With `ours`: places where the base's version was replaced. */
  replaced: object[];
}

interface Prepared {
  items: ApplyItem[];
  replaced: object[];
  isNothing: boolean;
}

export interface Preview {
  items: ApplyItem[];
  conflicts: object[];
  refusals: object[];
}

/**
 * What an apply would do, with the committed state; changes nothing. `isTheirs`: the base keeps what
 * it has where there are conflicts.
 */
export function* previewApply(
  volume: ReadableVolume,
  target: View,
  paths: readonly string[],
  rights: Rights,
  isTheirs: boolean,
): Work<Preview> {
  const { plan, comparison } = yield* planned(volume, target, paths);
  const writer = new BaseWriter(requireBase(volume).rootFd);
  try {
    yield* comparison.refused(writer, rights);
  } finally {
    writer.close();
  }
  const { conflicts } = comparison;
  const kept = new Set(isTheirs ? conflicts.flatMap(({ path, treePath }) => [path, treePath]) : []);
  const isDone = ({ path }: { path: string }): boolean => !isBelowOne(path, kept);
  return {
    items: plan.items.filter(isDone),
    conflicts: conflicts.map(shownConflict),
    refusals: comparison.refusals.filter(isDone).map(shownRefusal),
  };
}

/**
 * Applies what a sealed and stored layer shows. Throws CommandError; whatever is thrown before the
 * journal says 'switching', the base is as it was.
 */
export function* applyLayer(
  volume: Volume,
  layer: number,
  request: ApplyRequest,
  host: ApplyHost,
): Work<ApplyOutcome> {
  return yield* new Apply(volume, layer, request, host).run();
}

class Apply {
  readonly #view: View;
  readonly #writer: BaseWriter;
  readonly #layer: BaseLayer;
  /** Kept files and directories that views read from the base. */
  readonly #kept = new Set<number>();
  readonly #records = new Map<number, number[]>();
  /** The base's own times. */
  readonly #times: FileTimes;
  #written = 0;

  constructor(
    readonly volume: Volume,
    readonly layer: number,
    readonly request: ApplyRequest,
    readonly host: ApplyHost,
  ) {
    this.#view = volume.viewAt(layer);
    this.#writer = new BaseWriter(requireBase(volume).rootFd);
    this.#layer = new BaseLayer(volume, () => host.pause());
    this.#times = timesOf(this.#writer);
  }

  get #staging(): string {
    return stagingName(this.volume.uuid);
  }

  *run(): Work<ApplyOutcome> {
    const { layer } = this;
    let isSwitching = false;
    try {
      const { items, replaced, isNothing } = yield* this.#prepare();
      if (isNothing) return { items, replaced, layer, storedBytes: 0, writtenBytes: 0 };
      isSwitching = true;
      failpoint('apply:switching');
      const undo = yield* this.#carryOut();
      const { storedBytes } = this.#layer;
      return {
        items,
        replaced,
        layer,
        ...(undo !== undefined && { undo }),
        storedBytes,
        writtenBytes: this.#written,
      };
    } catch (error) {
      if (!isSwitching) yield* this.#undo();
      throw asCommandError(error, isSwitching);
    } finally {
      this.#writer.close();
    }
  }

  /** Steps 1 to 3, and the journal: nobody needs the plan after that. */
  *#prepare(): Work<Prepared> {
    const { volume, host, request } = this;
    const { slots, plan, comparison } = yield* planned(volume, this.#view, request.paths);
    this.#refuseReadOnly();
    if (!request.ours) refuseConflicts(comparison.conflicts, request.undoing !== undefined);
    yield* comparison.refused(this.#writer, host.rights);
    refuseAll(comparison.refusals);
    const { items } = plan;
    const replaced = comparison.conflicts
      .filter(({ base }) => base !== 'vanished')
      .map(shownConflict);
    if (items.length === 0 && plan.attributes.length <= 1) {
      yield* this.#remember();
      return { items, replaced: [], isNothing: true };
    }
    this.#refuseFull(plan);
    this.#refuseStaging();
    yield* this.#store(slots, plan);
    failpoint('apply:stored');
    yield* this.#writeJournal('staging', []);
    failpoint('apply:staging');
    yield* this.#stage(plan);
    yield host.flush(this.#writer.rootFd);
    yield* this.#writeJournal('switching', this.#steps(slots, plan));
    return { items, replaced, isNothing: false };
  }

  #refuseReadOnly(): void {
    if (this.#writer.mayChangeNames('') !== -ERRNO.EROFS) return;
    throw new CommandError(
      'base-read-only',
      'EROFS',
      'the base is on a read-only file system; nothing was changed',
    );
  }

  #refuseFull(plan: ApplyPlan): void {
    const available = this.#writer.availableBytes();
    if (plan.addedBytes <= available) return;
    throw new CommandError(
      'base-full',
      'ENOSPC',
      `the base has room for ${available} bytes and needs ${plan.addedBytes}; nothing was changed`,
      { availableBytes: available, neededBytes: plan.addedBytes },
    );
  }

  /** Before the journal says that the directory is this apply's: an undo takes it away. */
  #refuseStaging(): void {
    if (this.#writer.lstat(this.#staging) === undefined) return;
    throw new CommandError(
      'apply-refused',
      'EEXIST',
      `${this.#staging} is in the base already: another apply may be at work; remove it if not`,
    );
  }

  *#undo(): Work<void> {
    if (journalState(this.host.volumePath) !== 'staging') return;
    if (this.#writer.lstat(this.#staging) !== undefined) {
      yield* removeTree(this.#writer, this.#staging);
    }
    resetTimes(this.#writer, this.#times);
    yield* removeJournal(this.host.volumePath, this.host.flushFile);
  }

  /** Nothing differs: what is remembered as applied moves along. */
  *#remember(): Work<void> {
    const { volume, layer, request } = this;
    if (request.undoing === undefined) volume.applied.set(this.#applied());
    else volume.applied.record(this.#applied(), { layer, ...this.#record() });
    yield* answerOf(volume.whenCommitted(volume.commit()));
  }

  #applied(): Part[] {
    const { paths } = this.request;
    const whole = { path: '', layer: this.layer };
    if (paths.length === 0) return [whole];
    const known = appliedParts(this.volume).filter(
      ({ path }) => path === '' || !paths.some((top) => isWithin(path, top)),
    );
    return [...known, ...paths.map((path) => ({ path, layer: this.layer }))];
  }

  #writeJournal(state: JournalHead['state'], steps: Iterable<Step>): Work<void> {
    const { paths, undoing, ...history } = this.#record();
    const head = {
      state,
      staging: this.#staging,
      times: this.#times,
      layer: this.layer,
      applied: this.#applied(),
      history,
      paths,
      ...(undoing !== undefined && { undoing }),
    };
    return writeJournal(this.host.volumePath, head, steps, this.host.flushFile);
  }

  #steps(slots: Slots, plan: ApplyPlan): Iterable<Step> {
    return stepsOf({
      volume: this.volume,
      view: this.#view,
      writer: this.#writer,
      slots,
      plan,
      staging: this.#staging,
      kept: this.#kept,
      records: this.#records,
    });
  }

  *#carryOut(): Work<string | undefined> {
    const { volume, host } = this;
    const journal = openJournal(host.volumePath);
    invariant(journal !== undefined, 'the journal that was written is there');
    try {
      const total = yield* journal.verify();
      return yield* carryOut(volume, this.#writer, journal, total, host, this.#layer);
    } finally {
      journal.close();
    }
  }

  #record(): Omit<ApplyRecord, 'layer'> & { paths: string[] } {
    const { source, paths, undoing, merged } = this.request;
    return {
      source,
      timeMs: this.volume.core.clock.nowMs(),
      details: {
        ...(paths.length > 0 && { paths: paths.map(shown) }),
        ...(merged !== undefined && { merged }),
      },
      paths: [...paths],
      ...(undoing !== undefined && { undoing }),
    };
  }

  /** Step 2. Afterwards everything that the base will lose is stored. */
  *#store(slots: Slots, plan: ApplyPlan): Work<void> {
    const { volume } = this;
    const layer = this.#layer;
    const takingBack = new TakingBack(volume, () => this.host.pause());
    yield* takingBack.run(yield* filesTouched(volume, slots, plan));
    layer.storedBytes += takingBack.storedBytes;
    const root = yield* layer.keepInode(ROOT_INODE, '');
    if (root !== undefined) yield* layer.keepEntry(root, this.#staging);
    /** Base files of which nothing stays in the base. */
    const gone: number[] = [];
    const done = new Set<number>();
    for (const slot of plan.slots) {
      yield undefined;
      yield* this.#storeName(slot);
      yield* this.#storeOther(slots, plan, slot);
      const { before } = slot;
      if (before === undefined || done.has(before.ino)) continue;
      done.add(before.ino);
      if (yield* this.#storeObject(slots, plan, before)) gone.push(before.ino);
    }
    yield* this.#storeMoving(slots, plan);
    for (const { ino, inode, isOnlyTimes } of plan.attributes) {
      yield undefined;
      const before = slots.before(ino);
      if (before === undefined) continue;
      const kept = yield* layer.keepInode(ino, before.base?.path ?? '');
      if (kept === undefined) continue;
      this.#kept.add(ino);
      if (!isOnlyTimes) {
        yield* layer.keepXattrs(kept, volume.listAttributes(this.#view, inode));
      }
    }
    yield* answerOf(volume.whenCommitted(volume.commit()));
    // Views now read these from the base layer alone.
    for (const ino of gone) {
      yield* mayChange(volume, this.host);
      layer.finish([{ ino }], undefined);
      yield undefined;
    }
    yield* answerOf(volume.whenCommitted(volume.commit()));
  }

  /** A file of the base that only gets one more name. */
  *#storeOther(slots: Slots, plan: ApplyPlan, { after }: Slot): Work<void> {
    const other = after === undefined ? undefined : slots.before(after.ino);
    if (other === undefined || plan.replaced.has(other.ino) || this.#kept.has(other.ino)) return;
    const kept = yield* this.#layer.keepInode(other.ino, other.base?.path ?? '');
    if (kept !== undefined) this.#kept.add(other.ino);
  }

  /** True when nothing of it stays in the base: then all of it is put aside. */
  *#storeObject(slots: Slots, plan: ApplyPlan, before: Inode): Work<boolean> {
    const layer = this.#layer;
    const kept = yield* layer.keepInode(before.ino, before.base?.path ?? '');
    if (kept === undefined) return false;
    const isGone = slots.after(before.ino) === undefined || plan.replaced.has(before.ino);
    if (isGone) {
      yield* layer.keepXattrs(kept);
      yield* layer.keepBlocks(kept);
    } else this.#kept.add(before.ino);
    return isGone;
  }

  *#storeName({ directory, name, beforePath }: Slot): Work<void> {
    if (beforePath === undefined) return;
    const path = this.volume.inode(this.#layer.view, directory)?.base?.path;
    const above = directory === ROOT_INODE ? '' : path;
    if (above === undefined) return;
    const kept = yield* this.#layer.keepInode(directory, above);
    if (kept !== undefined) yield* this.#layer.keepEntry(kept, name);
  }

  /** Of directories that move, the files below them that have records, which name their place. */
  *#storeMoving(slots: Slots, plan: ApplyPlan): Work<void> {
    const moved = [...plan.out, ...plan.direct].filter(({ ino }) => slots.before(ino)?.isDirectory);
    const tops = new Set(moved.map(({ from }) => from));
    for (const { ino, from } of moved) {
      const below = yield* this.#recordsBelow(from, tops);
      this.#records.set(ino, this.#kept.has(ino) ? [ino, ...below] : below);
    }
  }

  /** `tops`: directories that move by themselves; what is below them moves with them. */
  *#recordsBelow(top: string, tops: ReadonlySet<string>): Work<number[]> {
    const { volume } = this;
    const base = requireBase(volume);
    const found: number[] = [];
    const left = [top];
    for (let path = left.pop(); path !== undefined; path = left.pop()) {
      for (const { name, type } of base.list(path)) {
        const at = joinPath(path, name);
        const stat = base.lstat(at);
        if (stat === undefined || (type === DIRECTORY_TYPE && tops.has(at))) continue;
        const ino = volume.inodes.baseIds.numberOf(stat);
        if (type === DIRECTORY_TYPE) left.push(at);
        if (this.#hasRecord(ino) && (yield* this.#layer.keepInode(ino, at)) !== undefined) {
          found.push(ino);
        }
        yield undefined;
      }
    }
    return found;
  }

  #hasRecord(ino: number): boolean {
    const { core, store } = this.volume;
    const place = inodePlace(ROOT_FILESET, ino);
    if (store.seek(TABLE.inodes, place, prefixEnd(place)) !== undefined) return true;
    return [core.open, core.closing].some((txg) =>
      [...(txg?.layers.values() ?? [])].some(({ inodes }) => inodes.has(ino)),
    );
  }

  *#stage(plan: ApplyPlan): Work<void> {
    const { host, volume } = this;
    this.#writer.makeDirectory(this.#staging, 0o700);
    yield* stage(volume, this.#view, this.#writer, plan, (bytes) => {
      this.#written += bytes;
      host.onProgress(this.#written, plan.addedBytes);
    });
  }
}

function asCommandError(error: unknown, isSwitching: boolean): unknown {
  if (!(error instanceof FsError)) return error;
  if (!isSwitching) {
    return new CommandError(
      'apply-failed',
      error.code,
      `${messageOf(error)}; the base is as it was`,
    );
  }
  return new CommandError(
    'apply-interrupted',
    error.code,
    `${messageOf(error)}; a part is done already: the next apply, or the next mount, completes it`,
  );
}
