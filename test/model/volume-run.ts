/**
 * One volume and its model, side by side: does every operation on both,
 * compares what both answer, and knows what each transaction group held, so
 * that a crash can be checked to give back exactly the last stored group.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../manual-clock.js';
import { CommandError, FsError } from '../../src/lib/errors.js';
import { ROOT_INODE } from '../../src/format/records/tables.js';
import { BaseDirectory } from '../../src/base/base-directory.js';
import { checkVolumeAt } from '../../src/check/check.js';
import { createVolume } from '../../src/volume/create-volume.js';
import { InlineSink } from '../../src/volume/commit/inline-sink.js';
import { DEFAULT_OPTIONS } from '../../src/volume/options.js';
import type { View } from '../../src/volume/view.js';
import { Volume } from '../../src/volume/volume.js';
import { baseInodes } from './base-tree.js';
import { copyInodes, type Inodes, PlainModel, Refusal } from './plain-model.js';
import { checkDelta } from './store-scan.js';

export const BLOCK = 4096;

export interface RunOptions {
  /** A directory to lie under the volume. */
  base?: string;
  keepUndo?: number;
  /** Bytes of the intent log's ring; absent: none. */
  logBytes?: number;
}

/** `SHADOWFS_MODEL_TRACE=1` prints what is done. */
export function trace(what: string): void {
  if (process.env['SHADOWFS_MODEL_TRACE'] !== undefined) console.error(what);
}

export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof FsError || error instanceof CommandError) return error.code;
    throw error;
  }
  return 'none';
}

export class VolumeRun {
  readonly clock = new ManualClock();
  readonly path: string;
  model: PlainModel;
  /** As a mount of the branch in focus has it. */
  volume: Volume;
  /** Branch → the volume as a mount of it has it. */
  readonly mounts = new Map<string, Volume>();
  /** What the kernel would still hold of each mount: unlinked, but not released. */
  readonly #held = new Map<string, Set<number>>();
  /** Views that are open, and what they show. */
  pinned: { view: View; inodes: Inodes }[] = [];
  /** Every inode number there ever was. */
  readonly known = new Set<number>();
  /** Group → the model when it was closed; the stored one and younger ones only. */
  readonly #closed = new Map<number, PlainModel>();
  /** The model as it is in LMDB. */
  #stored: PlainModel;
  #openGroup: number;
  #closingGroup: number | undefined;
  /** Group → the model as the last record of it in the intent log has it. */
  readonly #logged = new Map<number, PlainModel>();
  /** What the last fsync that was answered promised; compared by how many operations it has. */
  #promised = 0;
  #operations = 0;
  readonly #operationsOf = new WeakMap<PlainModel, number>();
  synced = { byLog: 0, byStore: 0 };
  /** From then on the disk is full for this many questions. */
  #fullAfter: number | undefined;
  refused = 0;

  constructor(readonly options: RunOptions = {}) {
    this.path = join(mkdtempSync(join(tmpdir(), 'shadowfs-model-')), 'volume');
    const base = this.#openBase();
    createVolume({
      path: this.path,
      options: { ...DEFAULT_OPTIONS, blockSize: BLOCK, keepUndo: options.keepUndo ?? 3 },
      clock: this.clock,
      uid: 0,
      gid: 0,
      ...(base !== undefined && { base }),
    });
    base?.directory.close();
    this.model = new PlainModel(BLOCK, () => this.clock.now());
    if (options.base === undefined) this.model.addRoot(ROOT_INODE, 0, 0);
    else this.#takeBase(options.base);
    for (const ino of this.model.live.keys()) this.known.add(ino);
    this.volume = this.#open();
    this.mounts.set('main', this.volume);
    this.#lookEverythingUp(ROOT_INODE);
    this.#stored = this.model.copy();
    this.#openGroup = this.volume.core.open.id;
  }

  get held(): Set<number> {
    const { focus } = this.model;
    const held = this.#held.get(focus) ?? new Set();
    this.#held.set(focus, held);
    return held;
  }

  #takeBase(path: string): void {
    this.model.live = baseInodes(path, BLOCK);
    for (const { ino, blocks } of this.model.live.values()) {
      for (const [index, bytes] of blocks) this.model.figures.modify(ino, index, bytes);
    }
  }

  #openBase(): { path: string; directory: BaseDirectory } | undefined {
    const { base } = this.options;
    return base === undefined ? undefined : { path: base, directory: BaseDirectory.open(base) };
  }

  #open(): Volume {
    const base = this.#openBase();
    const volume = Volume.open({
      path: this.path,
      writer: { kind: 'inline' },
      clock: this.clock,
      ...(this.options.logBytes !== undefined && {
        log: { flush: 'inline', bytes: this.options.logBytes },
      }),
      ...(base !== undefined && { base }),
    });
    const sink = this.sink(volume);
    const space = sink.space.bind(sink);
    const canGrow = sink.canGrow.bind(sink);
    sink.canGrow = () => !this.#isFull() && canGrow();
    sink.space = () => (this.#fullAfter === 0 ? { ...space(), availableBytes: -1 } : space());
    return volume;
  }

  /** The kernel asks by number only for what it has looked up by name. */
  #lookEverythingUp(directory: number): void {
    const { volume } = this;
    const inode = volume.inode(volume.live, directory);
    if (inode === undefined) return;
    volume.list(volume.live, inode, 0, (name) => {
      const child = volume.lookup(volume.live, inode, name);
      if (child?.isDirectory) this.#lookEverythingUp(child.ino);
      return true;
    });
  }

  #isFull(): boolean {
    if (this.#fullAfter === undefined) return false;
    if (this.#fullAfter > 0) this.#fullAfter--;
    return this.#fullAfter === 0;
  }

  sink(volume = this.volume): InlineSink {
    const { sink } = volume.core;
    if (!(sink instanceof InlineSink)) throw new Error('the model runs with an inline writer');
    return sink;
  }

  /** Notes which groups were closed and stored since the last call. */
  note(): void {
    const { open, closing } = this.volume.core;
    if (open.id !== this.#openGroup) {
      const copy = this.#copy();
      for (let id = this.#openGroup; id < open.id; id++) this.#closed.set(id, copy);
      // The log had a part of it and got the rest as it closed. Nobody has flushed that yet, but a
      // process that dies takes nothing out of the file.
      if (closing?.isUnlogged === false && this.#logged.has(closing.id)) {
        this.#logged.set(closing.id, copy);
      }
      this.#openGroup = open.id;
    }
    this.#closingGroup = closing?.id;
    const last = (this.#closingGroup ?? this.#openGroup) - 1;
    for (const [id, model] of this.#closed) {
      if (id > last) continue;
      if (id === last) this.#stored = model;
      this.#closed.delete(id);
    }
    for (const id of this.#logged.keys()) if (id <= last) this.#logged.delete(id);
  }

  /** Does a change on both sides: same answer, or the same refusal. */
  change(name: string, onModel: (model: PlainModel) => void, onVolume: () => unknown): void {
    if (!this.volume.beginChange()) {
      this.note();
      this.volume.pump();
    }
    this.note();
    trace(name);
    let reached = false;
    this.#call = () => {
      reached = true;
      return onVolume();
    };
    let expected: string | undefined;
    try {
      onModel(this.model);
    } catch (error) {
      if (error instanceof FsError && error.code === 'ENOSPC' && this.#fullAfter === 0) {
        this.refused++;
      } else if (error instanceof Refusal && !reached) {
        expected = error.code;
      } else {
        throw error;
      }
    }
    if (expected !== undefined) {
      const got = codeOf(onVolume);
      const isFull = got === 'ENOSPC' && this.#fullAfter === 0;
      if (got !== expected && !isFull) throw new Error(`${name}: ${got}, expected ${expected}`);
    }
    this.#fullAfter = undefined;
    this.#operations++;
    this.note();
  }

  #call: () => unknown = () => undefined;
  /** For the model to call when nothing refuses the change. */
  readonly real = (): void => void this.#call();
  readonly realNumber = (): number => this.#call() as number;
  readonly realInode = (): number => {
    const ino = this.#call() as number;
    this.known.add(ino);
    return ino;
  };

  /** The next change finds the disk full at its `questions`-th question. */
  fillDisk(questions: number): void {
    this.#fullAfter = questions;
  }

  // Groups

  pump(): void {
    trace('pump');
    this.volume.pump();
    this.note();
  }

  commit(): void {
    trace('commit');
    this.volume.commit();
    this.note();
  }

  #copy(): PlainModel {
    const copy = this.model.copy();
    this.#operationsOf.set(copy, this.#operations);
    return copy;
  }

  /** An fsync: what it promises when it is answered must outlive a crash. */
  sync(): void {
    trace('sync');
    this.note();
    const { commits, open } = this.volume.core;
    const flushes = commits.figures().logFlushes;
    const copy = this.#copy();
    // Changes that were refused count as operations; there is nothing of them to be stored.
    const isNothing = open.isLogged;
    this.volume.durable().settled(
      () => {
        if (!isNothing) this.#promised = this.#operationsOf.get(copy) as number;
      },
      () => undefined,
    );
    if (commits.figures().logFlushes > flushes) {
      this.#logged.set(open.id, copy);
      this.synced.byLog++;
    } else this.synced.byStore++;
    this.note();
  }

  /** What a crash leaves: the last stored group, and the records of the log that follow it. */
  #survivor(): PlainModel {
    let survivor = this.#stored;
    for (const group of [this.volume.core.closing, this.volume.core.open]) {
      if (group === undefined) continue;
      survivor = this.#logged.get(group.id) ?? survivor;
      if (group === this.volume.core.closing && group.isUnlogged) break;
    }
    const operations = this.#operationsOf.get(survivor) ?? 0;
    if (operations < this.#promised) throw new Error('what was fsynced would not survive');
    return survivor;
  }

  flush(): void {
    trace('flush');
    this.volume.flush();
    this.note();
  }

  collect(slices?: number): number {
    trace(`collect ${slices}`);
    const done = this.sink().collect(slices);
    this.note();
    return done;
  }

  /** Collects and stores until there is nothing left to do. */
  collectAll(): void {
    this.flush();
    for (let rounds = 0; ; rounds++) {
      const done = this.collect();
      this.flush();
      if (done === 0) return;
      if (rounds > 100) throw new Error('the collector never ends');
    }
  }

  reopen(): void {
    trace('reopen');
    (this.mounts.get('main') as Volume).close();
    this.#reopened();
  }

  /** The process dies: what no group has stored is lost. */
  crash(): void {
    trace('crash');
    this.note();
    this.model = this.#survivor().copy();
    const crashed = new Error('crashed');
    this.volume.core.failure = crashed;
    assert.throws(() => (this.mounts.get('main') as Volume).close(), crashed);
    this.#reopened();
  }

  #reopened(): void {
    this.volume = this.#open();
    this.mounts.clear();
    this.mounts.set('main', this.volume);
    this.model.focusOn('main');
    this.#lookEverythingUp(ROOT_INODE);
    this.model.reapOrphans();
    this.#held.clear();
    this.pinned = [];
    this.#closed.clear();
    this.#logged.clear();
    this.#stored = this.#copy();
    this.#promised = 0;
    this.#openGroup = this.volume.core.open.id;
  }

  // Branches

  focusOn(branch: string): void {
    trace(`focus on ${branch}`);
    const mount = this.mounts.get(branch);
    if (mount === undefined) throw new Error(`${branch} is not mounted`);
    this.volume = mount;
    this.model.focusOn(branch);
  }

  fork(name: string, from: { snapshot?: string; branch?: string }): void {
    trace(`fork ${name} from ${JSON.stringify(from)}`);
    const { model } = this;
    const inodes =
      from.snapshot === undefined
        ? model.inodesOf(from.branch ?? model.focus)
        : model.snapshot(from.snapshot).inodes;
    const expected = model.branches().includes(name) ? 'branch-exists' : 'none';
    const got = codeOf(() => this.volume.branchCommands.fork(name, from, 'model'));
    if (got !== expected) throw new Error(`fork ${name}: ${got}, expected ${expected}`);
    if (got === 'none') model.others.set(name, copyInodes(inodes));
    this.note();
  }

  mount(name: string): void {
    trace(`mount ${name}`);
    this.mounts.set(name, this.volume.at(name));
    this.#reap(name);
    this.note();
  }

  /** Nobody holds the nameless files of a branch when it is mounted. */
  #reap(name: string): void {
    const inodes = this.model.inodesOf(name);
    for (const [ino, { nlink }] of inodes) if (nlink === 0) inodes.delete(ino);
  }

  unmount(name: string): void {
    trace(`unmount ${name}`);
    const { branches, seat } = this.mounts.get(name) as Volume;
    branches.close(seat.branch);
    this.mounts.delete(name);
    this.#held.delete(name);
  }

  /** The mount in focus shows another branch, which is mounted nowhere. */
  switchBranch(name: string): void {
    trace(`switch to ${name}`);
    const { focus } = this.model;
    const { from } = this.volume.branchCommands.switchTo(name, 'model');
    this.pin(from, copyInodes(this.model.live));
    this.mounts.delete(focus);
    this.mounts.set(name, this.volume);
    this.#held.delete(focus);
    this.model.focusOn(name);
    this.model.reapOrphans();
    this.note();
  }

  deleteBranch(name: string): void {
    trace(`delete branch ${name}`);
    const { model } = this;
    const { undo, pruned } = this.volume.branchCommands.delete(name, 'model');
    const { focus } = model;
    model.focusOn(name);
    if (undo !== undefined) {
      const { layer } = this.volume.snapshot(undo) as { layer: number };
      model.addSnapshot(undo, 'undo', layer);
    }
    model.focusOn(focus);
    model.others.delete(name);
    for (const one of pruned) model.deleteSnapshot(one);
    this.note();
  }

  renameBranch(from: string, to: string): void {
    trace(`rename branch ${from} ${to}`);
    const { model } = this;
    this.volume.branchCommands.rename(from, to, 'model');
    const mount = this.mounts.get(from);
    if (mount !== undefined) {
      this.mounts.delete(from);
      this.mounts.set(to, mount);
    }
    const held = this.#held.get(from);
    this.#held.delete(from);
    if (held !== undefined) this.#held.set(to, held);
    if (model.focus === from) model.focus = to;
    else {
      model.others.set(to, model.inodesOf(from));
      model.others.delete(from);
    }
    this.note();
  }

  // Commands

  save(name: string): void {
    trace(`save ${name} in layer ${this.volume.live.top}`);
    const expected = this.model.snapshots.some((s) => s.name === name) ? 'snapshot-exists' : 'none';
    const got = codeOf(() => {
      const { layer } = this.volume.save(name, 'model');
      this.model.addSnapshot(name, 'user', layer);
    });
    if (got !== expected) throw new Error(`save ${name}: ${got}, expected ${expected}`);
    this.note();
  }

  restore(name: string): void {
    trace(`restore ${name} from layer ${this.volume.live.top}`);
    this.#moveTree(() => this.volume.restore(name, 'model'));
  }

  /** Any step back or forward; the tree must become the snapshot that the answer names. */
  undo(direction?: 'back' | 'forward'): void {
    trace(`undo ${direction ?? ''} from layer ${this.volume.live.top}`);
    const code = codeOf(() => this.volume.planUndo(direction));
    if (code === 'none') this.#moveTree(() => this.volume.undo(direction, 'model'));
    else if (!['nothing-to-undo', 'cannot-undo', 'undo-gone'].includes(code)) throw new Error(code);
  }

  #moveTree(move: () => ReturnType<Volume['restore']> | ReturnType<Volume['undo']>): void {
    const from = this.volume.live.top;
    const before = this.model.snapshots.find((s) => s.layer === this.#parentOf(from));
    const inodes = copyInodes(this.model.live);
    const answer = move();
    // As the tree does for files that are open.
    this.pin(answer.from, inodes);
    const { undo: kept, name } = answer;
    // A tree that was a copy of an undo snapshot leaves no second one.
    const isKnown = this.model.snapshots.some((s) => s.name === kept);
    if (kept !== undefined && !isKnown) this.model.addSnapshot(kept, 'undo', from);
    if (kept === undefined && before === undefined && this.#keepUndo > 0) {
      throw new Error('a restore without an undo loses the tree');
    }
    this.model.restore(name);
    for (const pruned of answer.pruned) this.model.deleteSnapshot(pruned);
    for (const kept of answer.locked ?? []) {
      if (!this.#isLocked(kept)) throw new Error(`${kept} was kept, and is not locked`);
    }
    const own = this.model.focus === 'main' ? undefined : this.model.focus;
    const undo = this.model.snapshots.filter(
      ({ kind, name }) =>
        kind === 'undo' && !this.#isLocked(name) && this.volume.snapshot(name)?.branch === own,
    ).length;
    // Beyond them: the one that the tree was made from, and the one that it left.
    if (undo > this.#keepUndo + 2) throw new Error(`${undo} undo snapshots`);
    this.note();
  }

  get #keepUndo(): number {
    return this.options.keepUndo ?? 3;
  }

  pin(view: View, inodes: Inodes): void {
    this.volume.pin(view.top);
    this.pinned.push({ view, inodes });
  }

  /** Keeps a snapshot's view open, whatever becomes of its name. */
  pinSnapshot(name: string): void {
    trace(`pin ${name}`);
    const snapshot = this.volume.snapshot(name);
    if (snapshot === undefined) throw new Error(`no snapshot ${name}`);
    this.pin(this.volume.viewOf(snapshot), this.model.snapshot(name).inodes);
  }

  unpin(): void {
    const pinned = this.pinned.shift();
    if (pinned === undefined) return;
    trace(`unpin ${pinned.view.top}`);
    this.volume.unpin(pinned.view.top);
  }

  #parentOf(layer: number): number {
    return this.volume.core.layers.get(layer).parent;
  }

  #isLocked(name: string): boolean {
    return this.model.locks.isLocked(this.volume.snapshot(name)?.uuid ?? '');
  }

  /** A locked one: it is refused, and then done by force. */
  deleteSnapshot(name: string): void {
    trace(`delete ${name}`);
    const uuid = this.volume.snapshot(name)?.uuid ?? '';
    const isLocked = this.#isLocked(name);
    const code = codeOf(() => this.volume.deleteSnapshot(name, 'model'));
    if (code !== (isLocked ? 'snapshot-locked' : 'none'))
      throw new Error(`delete ${name}: ${code}`);
    if (isLocked) this.volume.deleteSnapshot(name, 'model', true);
    this.model.locks.breakOf(uuid);
    this.model.deleteSnapshot(name);
    this.note();
  }

  renameSnapshot(from: string, to: string): void {
    trace(`rename snapshot ${from} ${to}`);
    this.volume.renameSnapshot(from, to, 'model');
    this.model.renameSnapshot(from, to);
    this.note();
  }

  /** What is stored keeps every rule that can be checked. */
  check(): void {
    checkDelta(this.volume.core.reader);
    const base = this.#openBase();
    const { findings } = checkVolumeAt({ path: this.path, ...(base !== undefined && { base }) });
    base?.directory.close();
    const told = findings.map(({ rule, what, where }) => `${rule}: ${what} (${where})`);
    if (told.length > 0) throw new Error(`check: ${told.join('; ')}`);
  }

  dispose(): void {
    (this.mounts.get('main') as Volume).close();
    rmSync(join(this.path, '..'), { recursive: true, force: true });
  }
}
