/**
 * The commands save, restore, delete and rename (native-notes/design.md, rows
 * V4–V7; rules D7, D8): each changes a handful of small records in the open
 * group, whatever the volume's size, and is durable when that group is.
 *
 * Doors: file-versions, group-points.
 * Doors inside volume/: expiry, schedules, snapshot-commands.
 */
import { CommandError } from '../../lib/errors.js';
import { checkSnapshotName, nearMatches } from '../../format/text/grammar.js';
import { type Catalog, PEER_SOURCE, type Snapshot } from '../catalog.js';
import type { VolumeCore } from '../core.js';
import type { Layer } from '../lineage.js';
import { lockText, type ShownLock, shownLock } from '../locks/lock-text.js';
import type { Namespace } from '../names/namespace.js';
import type { PeerTable } from '../peers/peer-table.js';
import type { SoftLock, SoftLocks } from '../locks/soft-locks.js';
import { View } from '../view.js';

/** Number of locks listed in a message; the answer's data has all. */
const MAX_TOLD_LOCKS = 20;

export interface SaveAnswer {
  command: 'save';
  name: string;
  uuid: string;
  layer: number;
}

export interface RestoreAnswer {
  command: 'restore';
  name: string;
  layer: number;
  newLayer: number;
  /** The snapshot that undoes this restore; absent when nothing had changed. */
  undo?: string;
  /** Undo snapshots that the policy deleted. */
  pruned: string[];
  /** Undo snapshots that the policy would have deleted, but they are locked. */
  locked?: string[];
}

export interface DeleteAnswer {
  command: 'delete';
  name: string;
  layer: number;
  /** Present when the snapshot was locked. */
  forced?: true;
  locks?: ShownLock[];
}

export interface Restored {
  answer: RestoreAnswer;
  from: View;
  to: View;
}

/** 2026-11-21T03-57-00: sorts by time and needs no quoting. */
export function timeName(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replaceAll(':', '-');
}

export class SnapshotCommands {
  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    readonly namespace: Namespace,
    readonly locks: SoftLocks,
    readonly peers: PeerTable,
  ) {}

  /** Throws CommandError: volume-failed, read-only. */
  writable(): void {
    if (this.core.failure !== undefined) {
      throw new CommandError(
        'volume-failed',
        'EIO',
        `the volume failed: ${this.core.failure.message}`,
      );
    }
    if (this.core.readOnly) {
      throw new CommandError('read-only', 'EROFS', 'the volume is mounted read-only');
    }
  }

  /** Throws bad-snapshot-name, snapshot-exists. */
  checkNew(name: string): void {
    const reason = checkSnapshotName(name);
    if (reason !== undefined) {
      throw new CommandError(
        'bad-snapshot-name',
        'EINVAL',
        `bad snapshot name ${JSON.stringify(name.slice(0, 300))}: ${reason}`,
      );
    }
    if (this.catalog.isTaken(name)) {
      throw new CommandError('snapshot-exists', 'EEXIST', `snapshot ${name} exists already`, {
        name,
      });
    }
  }

  /** The snapshot of that name. Throws `no-such-snapshot` with near matches. */
  require(name: string): Snapshot {
    const snapshot = this.catalog.snapshots.get(name);
    if (snapshot !== undefined) return snapshot;
    const near = nearMatches(name, [...this.catalog.snapshots.keys()]);
    const hint = near.length > 0 ? `; did you mean ${near.join(', ')}?` : '';
    throw new CommandError(
      'no-such-snapshot',
      'ENOENT',
      `no snapshot ${JSON.stringify(name.slice(0, 300))}${hint}`,
      { name, near },
    );
  }

  /** The name, with a number appended when it is taken. */
  freeName(wanted: string): string {
    let name = wanted;
    for (let n = 2; this.catalog.isTaken(name); n++) name = `${wanted}.${n}`;
    return name;
  }

  /** Seals the open layer and opens a new one over `parent`. */
  switchTo(parent: number, cacheFrom: View | undefined): { sealed: Layer; live: View } {
    const { core, catalog } = this;
    const nowMs = core.clock.nowMs();
    const sealed = core.layers.get(core.live.top);
    sealed.state = 'sealed';
    sealed.sealedMs = nowMs;
    catalog.putLayer(sealed);
    const layer: Layer = {
      number: catalog.takeLayer(),
      parent,
      fileset: core.fileset,
      branch: 'main',
      state: 'open',
      createdMs: nowMs,
    };
    core.layers.add(layer);
    catalog.putLayer(layer);
    catalog.putFileset(layer.number);
    const lineage = core.layers.lineage(layer.number);
    const live = new View(core.fileset, layer.number, lineage, true, cacheFrom?.cache);
    core.setLive(live);
    return { sealed, live };
  }

  save(name: string | undefined, source: string, kind: 'user' | 'auto' = 'user'): SaveAnswer {
    this.writable();
    const nowMs = this.core.clock.nowMs();
    const chosen = name ?? this.freeName(timeName(nowMs));
    this.checkNew(chosen);
    const { sealed } = this.switchTo(this.core.live.top, this.core.live);
    const snapshot = this.catalog.addSnapshot({
      name: chosen,
      layer: sealed.number,
      fileset: this.core.fileset,
      kind,
      createdMs: nowMs,
      source,
    });
    this.catalog.addHistory({
      timeMs: nowMs,
      command: 'save',
      name: chosen,
      layer: sealed.number,
      newLayer: this.core.live.top,
      source,
      outcome: 'saved',
    });
    return { command: 'save', name: chosen, uuid: snapshot.uuid, layer: sealed.number };
  }

  restore(name: string, source: string, openLayerIsEmpty: boolean): Restored {
    this.writable();
    if (this.core.isStandby) {
      throw new CommandError(
        'standby',
        'EROFS',
        'the volume is a standby: its tree comes from the primary (shadowfs promote changes that)',
      );
    }
    const snapshot = this.require(name);
    const from = this.core.live;
    const nowMs = this.core.clock.nowMs();
    const { sealed, live } = this.switchTo(snapshot.layer, undefined);
    const answer: RestoreAnswer = {
      command: 'restore',
      name,
      layer: snapshot.layer,
      newLayer: live.top,
      pruned: [],
    };
    // An empty layer over a snapshot is equal to that snapshot: nothing to undo.
    if (!(openLayerIsEmpty && this.isNamed(sealed.parent))) {
      answer.undo = this.keepAsUndo(sealed.number, nowMs, source);
    }
    const { pruned, locked } = this.pruneUndo(name);
    answer.pruned = pruned;
    if (locked.length > 0) answer.locked = locked;
    this.namespace.reapOrphans();
    this.catalog.addHistory({
      timeMs: nowMs,
      command: 'restore',
      name,
      layer: snapshot.layer,
      newLayer: live.top,
      source,
      outcome: 'restored',
      details: { undo: answer.undo, pruned, locked: answer.locked },
    });
    return { answer, from, to: live };
  }

  /** Keeps the earlier state of the live tree as an undo snapshot; returns its name. */
  keepAsUndo(layer: number, nowMs: number, source: string): string {
    const name = this.freeName(`undo-${timeName(nowMs)}`);
    const { fileset } = this.core;
    this.catalog.addSnapshot({ name, layer, fileset, kind: 'undo', createdMs: nowMs, source });
    return name;
  }

  /**
   * Keeps the newest `keepUndo` undo snapshots; never deletes the one just
   * restored, nor a locked one.
   */
  pruneUndo(restored: string): { pruned: string[]; locked: string[] } {
    const undo = this.catalog.list().filter((s) => s.kind === 'undo');
    const surplus = Math.max(0, undo.length - this.core.options.keepUndo);
    const old = undo.slice(0, surplus).filter((s) => s.name !== restored);
    const isLocked = ({ uuid }: Snapshot): boolean => this.locks.isLocked(uuid);
    const pruned = old.filter((s) => !isLocked(s)).map(({ name }) => name);
    for (const name of pruned) this.catalog.deleteSnapshot(name);
    return { pruned, locked: old.filter(isLocked).map(({ name }) => name) };
  }

  /** True when a snapshot names the layer. */
  isNamed(layer: number): boolean {
    return [...this.catalog.snapshots.values()].some((snapshot) => snapshot.layer === layer);
  }

  /** `force`: also one that somebody needs, who is told (design.md, row L8). Throws snapshot-locked. */
  delete(name: string, source: string, force: boolean): DeleteAnswer {
    this.writable();
    const snapshot = this.require(name);
    const { uuid, layer } = snapshot;
    if (!force) this.#refuseLocked(snapshot);
    this.catalog.deleteSnapshot(name);
    const broken = this.locks.breakOf(uuid).map((lock) => this.#shown(lock, name));
    const details = broken.length > 0 ? { forced: true as const, locks: broken } : undefined;
    this.catalog.addHistory({
      timeMs: this.core.clock.nowMs(),
      command: 'delete',
      name,
      layer,
      source,
      outcome: details === undefined ? 'deleted' : 'deleted by force',
      ...(details !== undefined && { details }),
    });
    return { command: 'delete', name, layer, ...details };
  }

  #shown(lock: SoftLock, name: string): ShownLock {
    return shownLock(lock, name, this.peers.nameOf(lock.origin));
  }

  #refuseLocked({ name, uuid }: Snapshot): void {
    const locks = this.locks.of(uuid);
    if (locks.length === 0) return;
    const nowMs = this.core.clock.nowMs();
    const reasons = locks
      .slice(0, MAX_TOLD_LOCKS)
      .map((lock) => `  ${lockText(lock, nowMs, this.peers.nameOf(lock.origin))}`);
    if (locks.length > reasons.length) reasons.push(`  and ${locks.length - reasons.length} more`);
    throw new CommandError(
      'snapshot-locked',
      'EBUSY',
      [
        `snapshot ${name} is locked:`,
        ...reasons,
        '--force (force=yes in the control file) deletes it nevertheless',
      ].join('\n'),
      { name, uuid, locks: locks.map((lock) => this.#shown(lock, name)) },
    );
  }

  rename(
    from: string,
    to: string,
    source: string,
  ): { command: 'rename'; name: string; newName: string } {
    this.writable();
    const snapshot = this.require(from);
    this.checkNew(to);
    this.catalog.deleteSnapshot(from);
    // A name given by hand is kept: the undo policy no longer applies to it.
    const kind = snapshot.kind === 'diverged' ? 'diverged' : 'user';
    // It belongs to whoever named it, and is not pruned as the primary's.
    const made = snapshot.source === PEER_SOURCE ? source : snapshot.source;
    const renamed: Snapshot = { ...snapshot, name: to, kind, source: made };
    this.catalog.snapshots.set(to, renamed);
    this.catalog.putSnapshot(renamed);
    this.catalog.addHistory({
      timeMs: this.core.clock.nowMs(),
      command: 'rename',
      name: from,
      layer: snapshot.layer,
      source,
      outcome: 'renamed',
      details: { newName: to },
    });
    return { command: 'rename', name: from, newName: to };
  }
}
