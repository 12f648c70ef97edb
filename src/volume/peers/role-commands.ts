/**
 * The commands that change a volume's role, and the one that takes a received
 * layer in: each is one transaction (rule D7), and what it leaves behind is
 * named before the live tree moves away from it.
 *
 * Doors: identity, peer-table, pruned-snapshots, pull-schedule, role, role-commands, staging.
 */
import { CommandError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { BASE_LAYER } from '../../format/records/tables.js';
import type { Snapshot } from '../catalog.js';
import type { SnapshotCommands } from '../snapshots/snapshot-commands.js';
import type { TreeMoves } from '../snapshots/tree-moves.js';
import { drawAllocator } from './identity.js';
import {
  checkEpoch,
  epochAfter,
  type Following,
  refuseFarEpoch,
  type Role,
  type RoleName,
} from './role.js';
import type { View } from '../view.js';
import type { Volume } from '../volume.js';

export interface RoleAnswer extends Pick<Role, 'role' | 'epoch'> {
  outcome: 'changed' | 'unchanged';
  /** The snapshot that the live tree shows now; absent: it has not moved. */
  snapshot?: string;
  /** The snapshot of the changes that the other side never had. */
  diverged?: string;
}

export interface AdoptAnswer {
  layer: number;
  /** False: the snapshot was added, and the live tree is unchanged. */
  isLive: boolean;
  /** The snapshot of the old live tree; absent when the tree had no changes of its own. */
  undo?: string;
  pruned: string[];
  /** The new name of the older snapshot that had the same name. */
  renamed?: string;
  /** Undo snapshots that the policy would have removed, but that a lock keeps. */
  locked?: string[];
}

/** An answer, with the live view before and after a command that moved it. */
export interface RoleMove<A> {
  answer: A;
  moved?: { from: View; to: View };
}

/** What an adopted layer does to the live tree. */
export type LiveMove = 'stay' | 'move' | 'move-keep-undo';

export class RoleCommands {
  constructor(
    readonly volume: Volume,
    readonly commands: SnapshotCommands,
    readonly moves: TreeMoves,
  ) {}

  get current(): Role {
    return this.volume.catalog.role;
  }

  /** A staging layer becomes a snapshot (design.md, row S11). Durable when its txg is. */
  adopt(
    staging: number,
    snapshot: Pick<Snapshot, 'name' | 'uuid' | 'createdMs' | 'kind' | 'note'>,
    source: string,
    move: LiveMove,
  ): RoleMove<AdoptAnswer> {
    return this.#moving(() => {
      const { core, catalog } = this.volume;
      const nowMs = core.clock.nowMs();
      const layer = core.layers.get(staging);
      layer.state = 'sealed';
      layer.sealedMs = nowMs;
      catalog.putLayer(layer);
      const answer: AdoptAnswer = { layer: staging, isLive: move !== 'stay', pruned: [] };
      let kept: Snapshot | undefined;
      if (answer.isLive) {
        const { sealed } = this.commands.switchTo(staging);
        if (move === 'move-keep-undo') {
          const note = `before receive ${snapshot.name}`;
          const left = this.moves.keepAsUndo(sealed.number, nowMs, source, note);
          answer.undo = left.name;
          kept = left;
          const step = { command: 'receive', name: snapshot.name, timeMs: nowMs };
          this.commands.line.push({ ...step, before: left.uuid });
        } else this.commands.line.clear();
      }
      // On a standby the primary's names apply: a local snapshot of the same name is renamed.
      if (catalog.snapshots.has(snapshot.name)) {
        answer.renamed = this.commands.freeName(`${snapshot.name}.local`);
        this.commands.rename(snapshot.name, answer.renamed, source);
      }
      const { fileset } = core;
      catalog.addSnapshot({ ...snapshot, layer: staging, fileset, source });
      if (answer.isLive) {
        const { pruned, locked } = this.moves.pruneUndo(kept === undefined ? [] : [kept]);
        answer.pruned = pruned;
        if (locked.length > 0) answer.locked = locked;
      }
      catalog.addHistory({
        timeMs: nowMs,
        command: 'receive',
        name: snapshot.name,
        layer: staging,
        newLayer: core.main.live.top,
        source,
        outcome: 'received',
        details: {
          uuid: snapshot.uuid,
          undo: answer.undo,
          pruned: answer.pruned,
          locked: answer.locked,
        },
      });
      return answer;
    });
  }

  /**
   * From now on the live tree may be changed, under numbers that no other volume gives out (rule
   * D6). Without an epoch: the next one. Throws CommandError: epoch-too-low, epoch-too-high (for an
   * epoch that a person gives), epoch-exhausted.
   */
  promote(source: string, random: () => number, epoch?: number, by?: string): RoleMove<RoleAnswer> {
    // A caller that repeats its request because no answer came must not begin one more epoch.
    if (this.current.role === 'primary' && epoch === undefined) return this.#unchanged();
    const wanted = epoch ?? epochAfter(this.current.epoch);
    checkEpoch(this.current, wanted);
    if (by === undefined) this.#refuseFar(wanted);
    return this.#moving(() => {
      const { catalog, uuid, names } = this.volume;
      const { history, allocators } = catalog.identity;
      const allocator = drawAllocator(allocators, random);
      catalog.putIdentity({
        history,
        allocator,
        allocators: { ...allocators, [allocator]: uuid },
      });
      const { upstream } = this.current;
      const following = {
        by: by ?? uuid,
        // A later switchover begins with the standby's snapshots.
        ...(upstream !== undefined && { upstream }),
      };
      const answer = this.#put('primary', wanted, 'promote', source, {}, following);
      names.reapOrphans();
      return answer;
    });
  }

  /**
   * From now on only received snapshots change the tree. It becomes `to`, which the other side has
   * (default: the newest snapshot). Changes since then are kept as `diverged-EPOCH`. Earlier
   * commands must be durable.
   */
  demote(
    to: string | undefined,
    source: string,
    epoch?: number,
    following: Following = {},
  ): RoleMove<RoleAnswer> {
    const { volume } = this;
    const { epoch: divergedIn } = this.current;
    checkEpoch(this.current, epoch ?? divergedIn);
    if (following.by === undefined) this.#refuseFar(epoch ?? divergedIn);
    if (volume.isStandby && this.current.handover === undefined) return this.#unchanged();
    const target = to === undefined ? volume.latest() : volume.requireSnapshot(to);
    if (target === undefined) return this.#demoteEmpty(epoch ?? divergedIn, source, following);
    const unsent = this.#hasUnsent(target);
    return this.#moving(() => {
      const { core, catalog } = volume;
      const { sealed } = this.commands.switchTo(target.layer);
      this.commands.line.clear();
      const found: Pick<RoleAnswer, 'snapshot' | 'diverged'> = { snapshot: target.name };
      if (unsent) {
        found.diverged = this.commands.freeName(`diverged-${divergedIn}`);
        catalog.addSnapshot({
          name: found.diverged,
          layer: sealed.number,
          fileset: core.fileset,
          kind: 'diverged',
          createdMs: core.clock.nowMs(),
          source,
        });
      }
      const shown = { ...following, shown: target.uuid };
      const answer = this.#put('standby', epoch ?? divergedIn, 'demote', source, found, shown);
      return { ...answer, ...found };
    });
  }

  /** Nothing was saved yet: then there must be nothing to save either. */
  #demoteEmpty(epoch: number, source: string, following: Following): RoleMove<RoleAnswer> {
    const { core, live, catalog } = this.volume;
    const isNew = core.layers.get(live.top).parent === BASE_LAYER;
    if (!isNew || core.base !== undefined || Object.keys(catalog.counters.nextInode).length > 0) {
      throw new CommandError(
        'no-such-snapshot',
        'ENOENT',
        'there is no saved snapshot that the other side could have: save one and send it first',
      );
    }
    return this.#moving(() => this.#put('standby', epoch, 'demote', source, {}, following));
  }

  /**
   * A primary turns standby after a last snapshot, in the same transaction, so that `to` can become
   * primary in the epoch (design.md, Fig 15D). The live tree stays where it is. Throws
   * `role-changed` unless the volume is primary in an earlier epoch.
   */
  handOver(
    to: string,
    epoch: { number: number; by: string },
    source: string,
  ): RoleMove<RoleAnswer & { handover: NonNullable<Role['handover']> }> {
    if (this.volume.isStandby || epoch.number <= this.current.epoch) throw roleChanged();
    return this.#moving(() => {
      const name = this.commands.freeName(`handover-${epoch.number}`);
      const { uuid } = this.commands.save(name, source);
      const handover = { to, epoch, snapshot: uuid };
      const { epoch: mine, by } = this.current;
      const following = { ...(by !== undefined && { by }), shown: uuid, handover };
      const answer = this.#put('standby', mine, 'hand-over', source, { to }, following);
      return { ...answer, snapshot: name, handover };
    });
  }

  /**
   * A standby (or an empty volume that stands alone) follows another one. Throws `role-changed` for
   * a primary: what it shows may exist nowhere else.
   */
  follow(
    upstream: string,
    epoch: { number: number; by: string },
    source: string,
  ): RoleMove<RoleAnswer> {
    checkEpoch(this.current, epoch.number);
    if (this.current.role === 'primary') throw roleChanged();
    const { shown, handover } = this.current;
    const shows = handover?.snapshot ?? shown;
    const following = { by: epoch.by, upstream, ...(shows !== undefined && { shown: shows }) };
    return this.#moving(() =>
      this.#put('standby', epoch.number, 'follow', source, { upstream }, following),
    );
  }

  /** A standby's live tree becomes the snapshot. */
  show(snapshot: Snapshot, source: string): RoleMove<RoleAnswer> {
    return this.#moving(() => {
      this.commands.switchTo(snapshot.layer);
      this.commands.line.clear();
      const { role, epoch, ...following } = this.current;
      const shown = { ...following, shown: snapshot.uuid };
      const answer = this.#put(role, epoch, 'show', source, { name: snapshot.name }, shown);
      return { ...answer, snapshot: snapshot.name };
    });
  }

  /** Notes, in the open txg, that the tree shows the snapshot that was adopted last. */
  noteShown(snapshot: string): void {
    this.volume.catalog.putRole({ ...this.current, shown: snapshot });
  }

  /** An epoch that a peer sends is checked before it comes here, where the peer's name is known. */
  #refuseFar(epoch: number): void {
    refuseFarEpoch(this.current.epoch, epoch, `the role epoch ${epoch} was given`);
  }

  #hasUnsent(to: Snapshot): boolean {
    const { volume } = this;
    if (!volume.openLayerIsEmpty()) return true;
    return !volume.changes(volume.viewOf(to), volume.live).next().done;
  }

  #put(
    role: RoleName,
    epoch: number,
    command: string,
    source: string,
    details: object,
    following: Following = {},
  ): RoleAnswer {
    const { core, catalog } = this.volume;
    catalog.putRole({ role, epoch, ...following });
    core.isStandby = role === 'standby';
    // The peer that the change is about, by the name that people here know.
    const peer = following.handover?.to ?? (role === 'standby' ? following.upstream : undefined);
    const name = peer === undefined ? undefined : this.volume.peers.nameOf(peer);
    catalog.addHistory({
      command,
      ...(name !== undefined && command !== 'show' && { name }),
      source,
      outcome: role,
      details: { epoch, ...details },
    });
    return { role, epoch, outcome: 'changed' };
  }

  #unchanged(): RoleMove<RoleAnswer> {
    const { role, epoch } = this.current;
    return { answer: { role, epoch, outcome: 'unchanged' } };
  }

  /** Runs in one txg; the live view may have moved. */
  #moving<A>(change: () => A): RoleMove<A> {
    const { volume } = this;
    this.commands.writable();
    const from = volume.live;
    const answer = volume.core.withReserve(change);
    failpoint('role:switched');
    const to = volume.live;
    if (to !== from) volume.leaveBehind(from);
    volume.whenCommitted(volume.commit()).settled(
      () => failpoint('role:stored'),
      () => {},
    );
    return { answer, ...(to !== from && { moved: { from, to } }) };
  }
}

/** The caller had seen another role. */
function roleChanged(): CommandError {
  return new CommandError('role-changed', 'ESTALE', 'the role has changed meanwhile');
}
