/**
 * Changes of roles: promote, demote, revert (Figs 15B–D; native-notes/design.md,
 * section 10). Each is a question to the other side, which may refuse before
 * anything changes, and then one transaction; where two sides change one after
 * the other, each step finds out by itself how far it had come.
 *
 * What must hold: a volume becomes primary only in an epoch that nobody else
 * has: its own UUID is part of it.
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

/** For a side that has to store what programs have written before it answers. */
const HAND_OVER_MAX_MS = 60_000;
/** So long a command waits for a side that may be gone. */
const LOOK_MAX_MS = 5000;

export interface RolesSetup {
  volume: SyncVolume;
  calls: Calls;
  standing: () => Standing;
  /** The highest epoch that any peer has shown. */
  highestSeen: () => Epoch;
  /**
   * Locks at a peer that is about to be followed what both have and the next run starts from, the
   * newest of `theirs`; from then on only force deletes it there. Undefined: nothing in common.
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

  /** An epoch after all that were seen, for `volume`. Throws CommandError `epoch-exhausted`. */
  #nextEpoch(volume: string): Epoch {
    const { number } = this.#setup.highestSeen();
    const { epoch, handover } = this.#setup.volume.role();
    const highest = Math.max(number, epoch.number, handover?.epoch.number ?? 0);
    return { number: epochAfter(highest), by: volume };
  }

  /**
   * Standby to primary. While its primary answers, that would make two: refused, unless forced.
   * A primary that has met another one may be promoted once more, to be the newer of the two.
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
      `${upstream} is primary and answers: take its place with "shadowfs revert", ` +
        'or promote with --force and have two',
    );
  }

  /** Primary to standby of a newer primary: what it does not have becomes a snapshot `diverged-…`. */
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
        `${theirs.volume} follows this volume: "shadowfs revert" changes places`,
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
   * On the standby: asks its primary to turn standby after a last snapshot. Refused (`peer-silent`)
   * before anything changes when it does not answer. The snapshot is pulled and the place taken
   * in the runs that follow.
   */
  async askForHandover(): Promise<Handover> {
    const { volume, calls } = this.#setup;
    const { role, upstream } = volume.role();
    if (role === 'primary' || upstream === undefined) {
      throw new CommandError(
        'not-a-standby',
        'EINVAL',
        'only a standby can take its primary’s place',
      );
    }
    const { standing: theirs } = await this.look(upstream);
    if (theirs.role !== 'primary' && theirs.handover?.to !== volume.uuid) {
      throw new CommandError(
        'not-the-primary',
        'EINVAL',
        `${upstream} is a standby itself: revert there first, or follow the primary`,
      );
    }
    const { epoch } = theirs;
    return calls.call(upstream, { kind: 'hand-over', epoch }, HAND_OVER_MAX_MS);
  }

  /** On the primary that was asked. Asked again in the same epoch, it gives the same answer. */
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

  /** The last snapshot is here: takes the place that was handed over. */
  async takeOver({ to, epoch, snapshot }: Handover): Promise<boolean> {
    const { volume } = this.#setup;
    const { role, epoch: mine } = volume.role();
    if (to !== volume.uuid || role === 'primary' || compareEpochs(epoch, mine) <= 0) return false;
    if (!volume.snapshots().some(({ uuid }) => uuid === snapshot)) return false;
    await volume.promote(epoch);
    return true;
  }

  /**
   * Handed over, and the other side is primary: follows it. Did it become so without the last
   * snapshot (promoted by hand), what it does not have is kept as for `demote`.
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
