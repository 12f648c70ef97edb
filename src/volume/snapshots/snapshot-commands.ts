/**
 * The commands save, delete and rename (native-notes/design.md, rows V4–V7;
 * rules D7, D8): each changes a handful of small records in the open group,
 * whatever the volume's size, and is durable when that group is. Those that
 * move the live tree are in `tree-moves.ts`.
 *
 * Doors: file-versions, group-points, since-snapshot, snapshot-sets, undo-line.
 * Doors inside volume/: expiry, schedules, snapshot-commands, tree-moves.
 */
import { CommandError } from '../../lib/errors.js';
import { checkSnapshotName, nearHint, nearMatches } from '../../format/text/grammar.js';
import type { Catalog, NewRecord, Snapshot } from '../catalog.js';
import { isPeerSource } from '../../format/text/source.js';
import type { Seat } from '../branches/branch.js';
import type { Branches } from '../branches/branches.js';
import type { VolumeCore } from '../core.js';
import type { Layer } from '../lineage.js';
import { lockText, type ShownLock, shownLock } from '../locks/lock-text.js';
import type { PeerTable } from '../peers/peer-table.js';
import type { SoftLock, SoftLocks } from '../locks/soft-locks.js';
import type { View } from '../view.js';
import type { UndoLine } from './undo-line.js';

/** Number of locks listed in a message; the answer's data has all. */
const MAX_TOLD_LOCKS = 20;

export interface SaveAnswer {
  command: 'save';
  name: string;
  uuid: string;
  layer: number;
  note?: string;
}

export interface DeleteAnswer {
  command: 'delete';
  name: string;
  layer: number;
  /** Present when the snapshot was locked. */
  forced?: true;
  locks?: ShownLock[];
}

/** 2026-11-21T03-57-00Z: UTC, as the Z says; sorts by time and needs no quoting. */
export function timeName(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replaceAll(':', '-')}Z`;
}

export class SnapshotCommands {
  constructor(
    readonly core: VolumeCore,
    readonly seat: Seat,
    readonly catalog: Catalog,
    readonly locks: SoftLocks,
    readonly peers: PeerTable,
    readonly branches: Branches,
  ) {}

  /** Of the branch that the mount shows. */
  get line(): UndoLine {
    return this.branches.lineOf(this.seat.branch);
  }

  /** A record about the branch that the mount shows. */
  addHistory(record: NewRecord): void {
    this.catalog.addHistory({ layer: this.seat.live.top, ...this.madeOn, ...record });
  }

  /** For the record of a snapshot. */
  get madeOn(): { branch?: string } {
    const { isMain, name } = this.seat.branch;
    return isMain ? {} : { branch: name };
  }

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
        `${JSON.stringify(name.slice(0, 300))} can't be the name of a snapshot: ${reason}`,
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
    throw new CommandError(
      'no-such-snapshot',
      'ENOENT',
      `no snapshot ${JSON.stringify(name.slice(0, 300))}${nearHint(near)}`,
      { name, near },
    );
  }

  /** The name, with a number appended when it is taken. */
  freeName(wanted: string): string {
    let name = wanted;
    for (let n = 2; this.catalog.isTaken(name); n++) name = `${wanted}.${n}`;
    return name;
  }

  /** Seals the open layer and opens a new one over `parent`; undefined: over what it shows. */
  switchTo(parent?: number): { sealed: Layer; live: View } {
    const { sealed } = this.branches.advance(this.seat.branch.name, parent);
    return { sealed, live: this.seat.live };
  }

  save(
    name: string | undefined,
    source: string,
    kind: 'user' | 'auto' = 'user',
    note?: string,
  ): SaveAnswer {
    this.writable();
    const nowMs = this.core.clock.nowMs();
    const chosen = name ?? this.freeName(timeName(nowMs));
    this.checkNew(chosen);
    const noted = note === undefined ? {} : { note };
    const { sealed } = this.switchTo();
    const snapshot = this.catalog.addSnapshot({
      name: chosen,
      layer: sealed.number,
      fileset: this.core.fileset,
      kind,
      createdMs: nowMs,
      source,
      ...this.madeOn,
      ...noted,
    });
    this.addHistory({
      timeMs: nowMs,
      command: 'save',
      name: chosen,
      layer: sealed.number,
      newLayer: this.seat.live.top,
      source,
      outcome: 'saved',
      ...(note !== undefined && { details: noted }),
    });
    return { command: 'save', name: chosen, uuid: snapshot.uuid, layer: sealed.number, ...noted };
  }

  /** True when a snapshot names the layer. */
  isNamed(layer: number): boolean {
    return [...this.catalog.snapshots.values()].some((snapshot) => snapshot.layer === layer);
  }

  /** Throws no-such-snapshot and, unless `force`, snapshot-locked. */
  deletable(name: string, force: boolean): Snapshot {
    const snapshot = this.require(name);
    if (!force) this.#refuseLocked(snapshot);
    return snapshot;
  }

  /** `force`: also one that somebody needs, who is told (design.md, row L8). Throws snapshot-locked. */
  delete(name: string, source: string, force: boolean): DeleteAnswer {
    this.writable();
    const { uuid, layer } = this.deletable(name, force);
    this.catalog.deleteSnapshot(name);
    const broken = this.locks.breakOf(uuid).map((lock) => this.#shown(lock, name));
    const details = broken.length > 0 ? { forced: true as const, locks: broken } : undefined;
    this.addHistory({
      command: 'delete',
      name,
      layer,
      source,
      outcome: details === undefined ? 'deleted' : 'deleted by force',
      ...(details !== undefined && { details }),
    });
    this.line.block({ command: 'delete', name, timeMs: this.core.clock.nowMs(), why: 'deleted' });
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
    if (from === to) {
      throw new CommandError(
        'snapshot-exists',
        'EEXIST',
        `snapshot ${from} exists already: it has that name itself`,
        {
          name: to,
        },
      );
    }
    this.checkNew(to);
    this.catalog.deleteSnapshot(from);
    // A name given by hand is kept: the undo policy no longer applies to it.
    const kind = snapshot.kind === 'diverged' ? 'diverged' : 'user';
    // It belongs to whoever named it, and is not pruned as the primary's.
    const made = isPeerSource(snapshot.source) ? source : snapshot.source;
    const renamed: Snapshot = { ...snapshot, name: to, kind, source: made };
    this.catalog.snapshots.set(to, renamed);
    this.catalog.putSnapshot(renamed);
    this.addHistory({
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
