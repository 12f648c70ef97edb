/**
 * One run of a downstream, from the greeting to the last lock
 * (native-notes/design.md, section 7): locks before, the snapshots one after
 * the other, locks after each. A crash may follow any of these actions: the
 * next run finds out by itself how far this one came.
 */
import { CommandError } from '../../lib/errors.js';
import type { Calls } from './calls.js';
import {
  compareEpochs,
  type Epoch,
  type LookAnswer,
  PIECES_AHEAD,
  type Standing,
  type SyncSnapshot,
} from './messages.js';
import type { Lag } from './lag.js';
import { absentAt, common, locksToSend, type PullPlan, planPull } from './needs.js';
import { NUMBERS_EACH } from './numbers.js';
import type { RunKind } from './pull-clock.js';
import type { Incoming, SyncVolume } from './sync-volume.js';
import { refuseStrangers } from './upstream.js';

/** Longest time for a peer's answer, except for a piece of a stream. */
export const ANSWER_MAX_MS = 15_000;
const PIECE_MAX_MS = 60_000;
/** How often one run resumes a transfer. */
const RESUMED_MAX = 20;

export interface PullSetup {
  volume: SyncVolume;
  calls: Calls;
  incarnation: number;
  standing: () => Standing;
  /** The name that people use for this volume, shown in its locks. */
  name: string;
  dataset: string;
  /** Called when the peer deleted, by force, a snapshot that this volume had locked. */
  onBroken: (peer: string, snapshot: string) => void;
  /** Receives what has to travel (possibly nothing), and the progress. */
  lag: Lag;
}

export interface PullAnswer {
  /** Names, in the order of arrival. */
  received: readonly string[];
  theirs: Standing;
}

export class Pull {
  readonly #setup: PullSetup;
  #sequence: number;
  #transfers: number;
  #isStopped = false;
  /**
   * By peer: snapshots that it has deleted in spite of our locks, and does not know yet that we
   * know.
   */
  readonly #broken = new Map<string, Set<string>>();

  constructor(setup: PullSetup) {
    this.#setup = setup;
    this.#sequence = setup.incarnation * NUMBERS_EACH;
    this.#transfers = setup.incarnation * NUMBERS_EACH;
  }

  /** The current run ends before its next action, and keeps what has arrived. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * `locks`: tells what is needed, and fetches nothing. Throws CommandError; snapshots adopted
   * before stay.
   */
  async run(peer: string, kind: RunKind): Promise<PullAnswer> {
    this.#isStopped = false;
    const { volume, lag } = this.#setup;
    const { standing: theirs, snapshots } = await this.#greet(peer);
    const plan = planPull(snapshots, volume.snapshots());
    lag.saw(peer, plan);
    if (kind === 'locks') {
      await this.#sendLocks(peer, { base: plan.base, pending: [] });
      await this.#prune(snapshots);
      return { received: [], theirs };
    }
    let left: PullPlan = plan;
    await this.#sendLocks(peer, left);
    const { base } = plan;
    if (base !== undefined && plan.pending.length === 0 && volume.shown() !== base.uuid) {
      // The snapshots from another upstream are newer than those of this one.
      await volume.show(base.uuid, theirs.epoch);
    }
    const received: string[] = [];
    for (const snapshot of plan.pending) {
      await this.#transfer(peer, left, snapshot, theirs.epoch);
      received.push(snapshot.name);
      left = { base: snapshot, pending: left.pending.slice(1) };
      lag.arrived();
      await this.#sendLocks(peer, left);
    }
    await this.#prune(snapshots);
    return { received, theirs };
  }

  /** Deletes what the upstream has deleted and this volume does not keep. */
  async #prune(theirs: readonly SyncSnapshot[]): Promise<void> {
    const { volume } = this.#setup;
    if (!volume.prunes()) return;
    const absent = absentAt(theirs, volume.snapshots());
    if (absent.length === 0) return;
    this.#checkpoint();
    await volume.prune(absent.map(({ uuid }) => uuid));
  }

  async #greet(peer: string): Promise<LookAnswer> {
    const { volume, calls, standing } = this.#setup;
    const mine = standing();
    const answer = await calls.call(peer, { kind: 'greet', standing: mine }, ANSWER_MAX_MS);
    const { standing: theirs } = answer;
    refuseStrangers(mine, theirs);
    const order = compareEpochs(theirs.epoch, mine.epoch);
    if (order < 0) {
      throw new CommandError(
        'epoch-too-low',
        'ESTALE',
        `${peer} is at role epoch ${theirs.epoch.number}, behind ${mine.epoch.number}: ` +
          'it has not heard of the newer primary',
      );
    }
    if (order > 0) await volume.follow(peer, theirs.epoch);
    return answer;
  }

  #checkpoint(): void {
    if (this.#isStopped) throw new CommandError('sync-stopped', 'EINTR', 'the run was stopped');
  }

  async #sendLocks(peer: string, { base, pending }: PullPlan): Promise<void> {
    this.#checkpoint();
    const { volume, calls, name, dataset } = this.#setup;
    const items = locksToSend({
      volume: volume.uuid,
      name,
      dataset,
      base,
      pending,
      ofDownstreams: volume.locksOfDownstreams(),
    });
    const sequence = ++this.#sequence;
    const seen = [...(this.#broken.get(peer) ?? [])];
    const has = base?.uuid ?? null;
    const stored = await calls.call(
      peer,
      { kind: 'locks', sequence, items, seen, has },
      ANSWER_MAX_MS,
    );
    this.#hearOfBroken(peer, seen, stored.broken);
    const gone = new Set(
      stored.items
        .filter(({ outcome }) => outcome === 'unknown-snapshot')
        .map(({ snapshot }) => snapshot),
    );
    const needed = [base, ...pending].find((one) => one !== undefined && gone.has(one.uuid));
    if (needed === undefined) return;
    throw new CommandError(
      'snapshot-gone',
      'ESTALE',
      `${needed.name} was deleted on ${peer} before it was locked`,
    );
  }

  /** The next run finds another start by itself. */
  #hearOfBroken(peer: string, told: readonly string[], broken: readonly string[]): void {
    const known = this.#broken.get(peer) ?? new Set();
    for (const snapshot of told) known.delete(snapshot);
    for (const snapshot of broken) {
      if (!told.includes(snapshot)) this.#setup.onBroken(peer, snapshot);
      known.add(snapshot);
    }
    this.#broken.set(peer, known);
  }

  async #transfer(peer: string, { base }: PullPlan, to: SyncSnapshot, epoch: Epoch): Promise<void> {
    for (let tries = 0; ; tries++) {
      this.#checkpoint();
      const incoming = await this.#setup.volume.receive(base?.uuid ?? null, to.uuid);
      try {
        await this.#pieces(peer, base?.uuid ?? null, to, incoming);
        await incoming.finish(epoch);
        return;
      } catch (error) {
        const code = error instanceof CommandError ? error.code : '';
        if (code === 'stream-damaged') await incoming.drop();
        else await incoming.suspend();
        if (code !== 'transfer-lost' || tries >= RESUMED_MAX) throw error;
      }
    }
  }

  /** Stores one piece while the next ones are on their way. */
  async #pieces(
    peer: string,
    from: string | null,
    to: SyncSnapshot,
    incoming: Incoming,
  ): Promise<void> {
    const { calls, lag } = this.#setup;
    const transfer = ++this.#transfers;
    const { resumed } = incoming;
    const request = {
      from,
      to: to.uuid,
      ...(resumed !== undefined && { resumed: { from, to: to.uuid, ...resumed } }),
    };
    const read = (index: number) => {
      const piece = calls.call(peer, { kind: 'read', transfer, request, index }, PIECE_MAX_MS);
      // It may fail before anything waits for it.
      piece.catch(() => undefined);
      return piece;
    };
    let bytes = 0;
    const asked = Array.from({ length: PIECES_AHEAD }, (_, index) => read(index));
    for (let index = PIECES_AHEAD; ; index++) {
      const piece = await (asked.shift() as (typeof asked)[number]);
      if (piece.isLast) return;
      this.#checkpoint();
      asked.push(read(index));
      await incoming.push(piece.bytes);
      bytes += piece.bytes.length;
      lag.came(bytes);
    }
  }

  /**
   * Call before this volume follows the peer: locks there the snapshot from which a run would
   * start. Throws CommandError: `snapshot-gone`, and the errors of a call.
   */
  async hold(peer: string, theirs: readonly SyncSnapshot[]): Promise<SyncSnapshot | undefined> {
    this.#isStopped = false;
    const [base] = common(theirs, this.#setup.volume.snapshots());
    if (base !== undefined) await this.#sendLocks(peer, { base, pending: [] });
    return base;
  }

  /** This volume needs nothing of the peer any more. */
  async release(peer: string): Promise<void> {
    const sequence = ++this.#sequence;
    const seen = [...(this.#broken.get(peer) ?? [])];
    const { calls } = this.#setup;
    await calls.call(peer, { kind: 'locks', sequence, items: [], seen }, ANSWER_MAX_MS);
  }
}
