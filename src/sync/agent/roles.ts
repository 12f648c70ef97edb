/**
 * Changes of roles: promote, demote, switchover (Figs 15B–D;
 * native-notes/design.md, section 10). Each is a question to the other side,
 * which may refuse before anything changes, and then one transaction. Where two
 * sides change one after the other, each finds out by itself how far the change
 * has come.
 *
 * What must hold: a volume becomes primary only in an epoch that no other
 * volume has: its own UUID is part of it.
 */
import { CommandError } from '../../lib/errors.js';
import { epochAfter } from '../../volume/peers/role.js';
import type { Calls } from './calls.js';
import {
  compareEpochs,
  type Epoch,
  type Handover,
  type LookAnswer,
  type Standing,
  type SyncSnapshot,
} from './messages.js';
import type { SyncVolume } from './sync-volume.js';
import { refuseStrangers } from './upstream.js';

/** Time for a side that has to store the programs' writes before it answers. */
const HAND_OVER_MAX_MS = 60_000;
/** How long a command waits for a side that may be gone. */
const LOOK_MAX_MS = 5000;

export interface RolesSetup {
  volume: SyncVolume;
  calls: Calls;
  standing: () => Standing;
  /** The highest epoch that any peer has shown. */
  highestSeen: () => Epoch;
  /**
   * Locks, at a peer that this volume is about to follow, the snapshot from which the next run
   * starts: the newest of `theirs` that both have. From then on only force deletes it there.
   * Undefined: nothing in common.
   */
  hold: (peer: string, theirs: readonly SyncSnapshot[]) => Promise<SyncSnapshot | undefined>;
}

export class RoleChanges {
  readonly #setup: RolesSetup;

  constructor(setup: RolesSetup) {
    this.#setup = setup;
  }

  /** Throws CommandError `peer-silent` within seconds. */
  look(peer: string): Promise<LookAnswer> {
    const { calls, standing } = this.#setup;
    return calls.call(peer, { kind: 'look', standing: standing() }, LOOK_MAX_MS);
  }

  /** An epoch above all known ones, for `volume`. Throws CommandError `epoch-exhausted`. */
  #nextEpoch(volume: string): Epoch {
    const { number } = this.#setup.highestSeen();
    const { epoch, handover } = this.#setup.volume.role();
    const highest = Math.max(number, epoch.number, handover?.epoch.number ?? 0);
    return { number: epochAfter(highest), by: volume };
  }

  /**
   * Standby to primary. Refused, unless forced, while its primary answers: there would be two. A
   * primary that has met another one may be promoted once more, to become the newer of the two.
   */
  async promote(force: boolean): Promise<Epoch> {
    const { volume } = this.#setup;
    const { role, upstream } = volume.role();
    if (!force) {
      if (role === 'primary') {
        throw new CommandError('already-primary', 'EEXIST', 'this volume is primary already');
      }
      if (upstream !== undefined) await this.#refuseAlive(upstream);
    }
    const epoch = this.#nextEpoch(volume.uuid);
    await volume.promote(epoch);
    return epoch;
  }

  async #refuseAlive(upstream: string): Promise<void> {
    let theirs: Standing;
    try {
      theirs = (await this.look(upstream)).standing;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (error.code === 'peer-silent') return;
      if (error.code !== 'epoch-too-high') throw error;
      const message = `${error.message}; promote with --force does not ask it`;
      throw new CommandError(error.code, error.errno, message);
    }
    if (theirs.role !== 'primary') return;
    throw new CommandError(
      'primary-alive',
      'EBUSY',
      `${upstream} is primary and answers: take its place with "shadowfs switchover", ` +
        'or promote with --force and have two',
    );
  }

  /**
   * Primary to standby of a newer primary: changes that the other one lacks become a snapshot
   * `diverged-…`.
   */
  async demote(upstream: string): Promise<void> {
    const { volume, standing, hold } = this.#setup;
    const mine = standing();
    if (mine.role === 'standby') return this.follow(upstream);
    const { standing: theirs, snapshots } = await this.look(upstream);
    this.#refuseUpstream(mine, theirs);
    const newest = await hold(upstream, snapshots);
    await volume.demote(newest?.uuid, theirs.epoch, upstream);
  }

  /** A standby follows another volume. */
  async follow(upstream: string): Promise<void> {
    const { volume, standing, hold } = this.#setup;
    const { standing: theirs, snapshots } = await this.look(upstream);
    this.#refuseUpstream(standing(), theirs);
    await hold(upstream, snapshots);
    await volume.follow(upstream, theirs.epoch);
  }

  #refuseUpstream(mine: Standing, theirs: Standing): void {
    refuseStrangers(mine, theirs);
    if (theirs.volume === mine.volume || theirs.upstreams.includes(mine.volume)) {
      throw new CommandError(
        'peer-cycle',
        'ELOOP',
        `${theirs.volume} follows this volume: "shadowfs switchover" changes places`,
      );
    }
    const order = compareEpochs(theirs.epoch, mine.epoch);
    if (order > 0 || (order === 0 && mine.role === 'standby')) return;
    throw new CommandError(
      'epoch-too-low',
      'ESTALE',
      `${theirs.volume} is at role epoch ${theirs.epoch.number}, this volume at ` +
        `${mine.epoch.number}: promote ${theirs.volume} with --force first, if it is to be the primary`,
    );
  }

  /**
   * On the standby: asks its primary to turn standby after a last snapshot. Refused
   * (`peer-silent`), before anything changes, when the primary does not answer. The runs that
   * follow pull the snapshot and take the role.
   */
  async askForHandover(): Promise<Handover> {
    const { volume, calls } = this.#setup;
    const { role, upstream } = volume.role();
    if (role === 'primary' || upstream === undefined) {
      throw new CommandError(
        'not-a-standby',
        'EINVAL',
        `this volume is ${role === 'primary' ? 'the primary' : 'no standby of a peer'}: "shadowfs switchover" ` +
          'is given on the standby that is to take the place of its primary',
      );
    }
    const { standing: theirs } = await this.look(upstream);
    if (theirs.role !== 'primary' && theirs.handover?.to !== volume.uuid) {
      throw new CommandError(
        'not-the-primary',
        'EINVAL',
        `${upstream} is a standby itself: take its primary's place there first, or follow that primary`,
      );
    }
    const { epoch } = theirs;
    return calls.call(upstream, { kind: 'hand-over', epoch }, HAND_OVER_MAX_MS);
  }

  /** On the primary that was asked. A repeated question for the same epoch gets the same answer. */
  async handOver(to: string, asked: Epoch): Promise<Handover> {
    const { volume } = this.#setup;
    const { role, epoch, handover } = volume.role();
    if (handover?.to === to && compareEpochs(asked, epoch) === 0) return handover;
    if (role === 'primary' && compareEpochs(asked, epoch) === 0) {
      return volume.handOver(to, this.#nextEpoch(to));
    }
    throw new CommandError(
      'role-changed',
      'ESTALE',
      `${volume.uuid} is not primary in the role epoch ${asked.number}`,
    );
  }

  /** The last snapshot is here: takes the role that was handed over. */
  async takeOver({ to, epoch, snapshot }: Handover): Promise<boolean> {
    const { volume } = this.#setup;
    const { role, epoch: mine } = volume.role();
    if (to !== volume.uuid || role === 'primary' || compareEpochs(epoch, mine) <= 0) return false;
    if (!volume.snapshots().some(({ uuid }) => uuid === snapshot)) return false;
    await volume.promote(epoch);
    return true;
  }

  /**
   * This volume has handed over, and the other side is primary: follows it. If the other side
   * became primary without the last snapshot (promoted by hand), changes that it lacks are kept as
   * in `demote`.
   */
  async followHeir({ standing: theirs, snapshots }: LookAnswer): Promise<boolean> {
    const { volume, hold } = this.#setup;
    const { handover } = volume.role();
    if (handover === undefined || theirs.volume !== handover.to) return false;
    if (theirs.role !== 'primary' || compareEpochs(theirs.epoch, handover.epoch) < 0) return false;
    const newest = await hold(theirs.volume, snapshots);
    if (snapshots.some(({ uuid }) => uuid === handover.snapshot)) {
      await volume.follow(theirs.volume, theirs.epoch);
    } else {
      await volume.demote(newest?.uuid, theirs.epoch, theirs.volume);
    }
    return true;
  }
}
