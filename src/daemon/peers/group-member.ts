/**
 * A volume's part in group saves, in the serving thread: parks the mount's
 * changes, takes the snapshot while they wait, and stores the outcome.
 *
 * What must hold: while changes are parked no other command runs. They are
 * unparked as soon as the tree is a layer of its own, and at the latest when
 * the point's time is over, even if the thread of the connections is gone.
 */
import { performance } from 'node:perf_hooks';
import { after, Deferred } from '../../lib/deferred.js';
import { CommandError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import type { Answer } from '../../control/command.js';
import type { Point } from '../../sync/group/group-messages.js';
import type { GroupPoints } from '../../volume/snapshots/group-points.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import type { VolumeCommands } from '../commands/commands.js';
import type { Handlers } from '../calls/thread-calls.js';
import type { GroupStored } from './agent-messages.js';
import type { GroupToVolume } from './connections-calls.js';
import { round } from '../../lib/round.js';

/** An upper bound, whatever another volume asks for. */
const PARK_MAX_MS = 10_000;
/** For how many points the time of parking is remembered. */
const REMEMBERED_MAX = 100;

export interface GroupMemberParts {
  volume: Volume;
  commands: VolumeCommands<View>;
  /** From now on, programs' changes wait. */
  holdChanges(): void;
  letGo(): void;
  later(delayMs: number, run: () => void): void;
}

interface Parked {
  key: string;
  sinceMs: number;
  /** Settled when the changes are unparked. */
  until: Deferred<Answer>;
}

export class GroupMember {
  readonly #parts: GroupMemberParts;
  readonly #points: GroupPoints;
  #parked: Parked | undefined;
  /** How long changes were parked, by point. */
  readonly #parkedMs = new Map<string, number>();
  /** Counts the lost threads of the connections: their points park nothing any more. */
  #lost = 0;
  /** The source of the current command. */
  source = 'control';

  constructor(parts: GroupMemberParts) {
    this.#parts = parts;
    this.#points = parts.volume.groupPoints;
  }

  stored(): GroupStored {
    return { tentative: this.#points.tentative() as Point[], commits: this.#points.commits() };
  }

  /** Requests of the thread of the connections. */
  readonly handlers: Handlers<GroupToVolume> = {
    groupPark: ({ point }) => this.#park(point),
    groupUnpark: () => this.#letGo(this.#parked),
    groupSave: ({ point }) => this.#save(point),
    groupKeep: ({ key }) => this.#change('keep', () => this.#points.keep(key, this.parked(key))),
    groupDrop: ({ key }) => this.#change('drop', () => this.#points.drop(key)),
    groupCommit: ({ key, directors }) =>
      this.#change('commit', () => this.#points.addCommit(key, directors)),
    groupForget: ({ key }) => this.#change('forget', () => this.#points.removeCommit(key)),
  };

  /** The thread of the connections is gone. */
  lost(): void {
    this.#lost++;
    this.#letGo(this.#parked);
  }

  /**
   * No peer will ever tell the outcome of its points; after the last peer, none asks about ours.
   */
  peerRemoved(peer: string): void {
    const { uuid, peers } = this.#parts.volume;
    const commits = this.#points.commits().map(({ key }) => key);
    for (const { key, initiator } of this.stored().tentative) {
      if (initiator === peer) this.#points.drop(key);
      else if (initiator === uuid && peers.peers.size === 0) {
        if (commits.includes(key)) this.#points.keep(key, {});
        else this.#points.drop(key);
      }
    }
    if (peers.peers.size === 0) for (const key of commits) this.#points.removeCommit(key);
  }

  /** The time of parking, for answers and the history. */
  parked(key: string): { parkedMs?: number } {
    const parkedMs = this.#parkedMs.get(key);
    return parkedMs === undefined ? {} : { parkedMs };
  }

  /** Throws CommandError. */
  check(name: string): void {
    this.#points.check(name);
    if (!this.#parts.volume.isStandby) return;
    throw new CommandError(
      'standby',
      'EROFS',
      'a standby is not saved in a group: its tree lags behind, and it receives the snapshot of its primary',
    );
  }

  #park(point: Point): Deferred<void> {
    const { commands, later, holdChanges } = this.#parts;
    const parked = new Deferred<void>();
    const lost = this.#lost;
    const held = commands.hold('group-save', () => {
      if (lost !== this.#lost) throw overdue(point.name);
      // While this waited for its turn, the role may have changed or another snapshot may have
      // taken the name.
      this.check(point.name);
      const until = new Deferred<Answer>();
      const now: Parked = { key: point.key, sinceMs: performance.now(), until };
      holdChanges();
      this.#parked = now;
      later(Math.min(point.parkMaxMs, PARK_MAX_MS), () => this.#letGo(now));
      failpoint('group:parked');
      parked.resolve();
      return until;
    });
    held.settled(
      () => undefined,
      (error) => parked.reject(error),
    );
    return parked;
  }

  #letGo(parked: Parked | undefined): void {
    if (parked === undefined || parked !== this.#parked) return;
    this.#parked = undefined;
    this.#parts.letGo();
    this.#parkedMs.set(parked.key, round(performance.now() - parked.sinceMs));
    const [oldest] = this.#parkedMs.keys();
    if (this.#parkedMs.size > REMEMBERED_MAX && oldest !== undefined) {
      this.#parkedMs.delete(oldest);
    }
    parked.until.resolve({});
  }

  #save(point: Point): Deferred<void> {
    const { volume } = this.#parts;
    const { key, initiator, ...what } = point;
    const parked = this.#parked;
    if (parked?.key !== key) throw overdue(point.name);
    const source = initiator === volume.uuid ? this.source : volume.peers.sourceOf(initiator);
    volume.withReserve(() => this.#points.save(key, what, point, source));
    failpoint('group:switched');
    const ticket = volume.commit();
    // Later changes go into another layer.
    this.#letGo(parked);
    return after(volume.whenCommitted(ticket), () => failpoint('group:saved'));
  }

  #change(what: string, change: () => void): Deferred<void> {
    const { commands, volume } = this.#parts;
    failpoint(`group:before-${what}`);
    const done = commands.runChange(`group-${what}`, () => {
      volume.withReserve(change);
      return {};
    });
    return after(done, () => failpoint(`group:after-${what}`));
  }
}

function overdue(name: string): CommandError {
  return new CommandError(
    'group-save-late',
    'ETIMEDOUT',
    `changes went on before ${name} was saved: the others took too long`,
  );
}
