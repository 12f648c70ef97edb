/**
 * The sync agent of one volume: pulls from its upstream by schedule and on
 * news, serves its downstreams, carries locks up the cascade, changes roles,
 * and notices a second primary. Takes its clock, its connections and its volume
 * as parameters, so that the same code runs in a simulation.
 *
 * What must hold: one run at a time; one change of roles at a time, which stops
 * the run first, and nothing is pulled while it is under way.
 *
 * Doors: agent, agent-setup, messages, sync-volume.
 * Doors inside sync/: calls.
 */
import { CommandError, messageOf } from '../../lib/errors.js';
import type { AgentSetup, AgentStatus } from './agent-setup.js';
import { Calls, unknownQuestion } from './calls.js';
import type { Epoch, Handover, LookAnswer, Standing, SyncAnswer, SyncRequest } from './messages.js';
import { KnownPeers } from './known-peers.js';
import { Lag } from './lag.js';
import { LockSets } from './lock-sets.js';
import { planPull } from './needs.js';
import { numberCheck } from './numbers.js';
import { PullClock, type RunKind } from './pull-clock.js';
import { Pull, type PullAnswer } from './pull.js';
import { RoleChanges } from './roles.js';
import { Upstream } from './upstream.js';

/** The pause after a failed run; it doubles each time, up to the longest. */
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 60_000;
/** How often a primary, or a volume that has handed over, checks its peers. */
const LOOK_EVERY_MS = 10_000;

export class Agent {
  readonly #setup: AgentSetup;
  readonly #calls: Calls;
  readonly #pull: Pull;
  readonly #upstream: Upstream;
  readonly roles: RoleChanges;
  readonly #known: KnownPeers;
  readonly #lockSets: LockSets;
  #run: Promise<PullAnswer> | undefined;
  #isPaused = false;
  /** Changes of roles that run or wait for their turn: nothing is pulled meanwhile. */
  #changing = 0;
  /** Settles when the last requested change of roles is over. */
  #turn: Promise<unknown> = Promise.resolve();
  #callOff: () => void = () => undefined;
  #retryMs = RETRY_MIN_MS;
  #isWanted = false;
  readonly #clock: PullClock;
  readonly #lag: Lag;
  #failure: AgentStatus['failure'];
  #isClosed = false;

  constructor(setup: AgentSetup) {
    this.#setup = setup;
    const { volume, incarnation, fabric, timers, name, dataset } = setup;
    const standing = (): Standing => this.standing();
    this.#known = new KnownPeers(volume, setup.log);
    this.#calls = new Calls({
      incarnation,
      fabric,
      timers,
      check: numberCheck(volume, setup.nameOf, setup.log),
      serve: (from, request) => this.#serve(from, request),
    });
    const calls = this.#calls;
    this.#lag = new Lag(calls, timers);
    this.#clock = new PullClock(volume, timers, setup.idleMs);
    this.#upstream = new Upstream(volume, standing);
    this.#lockSets = new LockSets(volume);
    this.#pull = new Pull({
      volume,
      calls,
      incarnation,
      standing,
      name,
      dataset,
      onBroken: (peer, snapshot) =>
        setup.log(`${peer} has deleted the snapshot ${snapshot} by force; it was needed here`),
      lag: this.#lag,
    });
    this.roles = new RoleChanges({
      volume,
      calls,
      standing,
      highestSeen: () => this.#known.highestEpoch(),
      hold: (peer, theirs) => {
        // If this volume does not follow the peer in the end, the lock is released again.
        this.#released.delete(peer);
        return this.#pull.hold(peer, theirs);
      },
    });
  }

  start(): void {
    this.#schedule(0);
    this.#lookAround();
  }

  close(): void {
    this.#isClosed = true;
    this.#callOff();
    this.#pull.stop();
    this.#upstream.close();
  }

  standing(): Standing {
    const { volume } = this.#setup;
    const { role, epoch, upstream, handover } = volume.role();
    const isFollowing = role === 'standby' && handover === undefined && upstream !== undefined;
    return {
      volume: volume.uuid,
      history: volume.history,
      role,
      epoch,
      ...(handover !== undefined && { handover }),
      upstreams: isFollowing ? [upstream, ...this.#known.above(upstream)] : [],
    };
  }

  status(): AgentStatus {
    return {
      upstream: this.#followed(),
      isRunning: this.#run !== undefined,
      isPaused: this.#isPaused,
      pending: this.#lag.pending,
      bytes: this.#lag.bytes,
      seenMs: this.#lag.seenMs,
      isLevel: this.#lag.isLevel,
      received: this.#lag.received,
      failure: this.#failure,
      peers: this.#known.said(),
      conflicts: this.#known.conflicts,
    };
  }

  #followed(): string | undefined {
    const { role, upstream, handover } = this.#setup.volume.role();
    return role === 'standby' && handover === undefined ? upstream : undefined;
  }

  /** There is a new snapshot here, or a new role: downstreams need to know. */
  changed(): void {
    this.#calls.tell(this.#setup.peers(), { kind: 'news' });
  }

  /** A peer is no longer connected. */
  lost(peer: string): void {
    if (peer === this.#followed()) this.#lag.doubt();
  }

  /** A peer has become reachable. */
  met(peer: string): void {
    this.#retryMs = RETRY_MIN_MS;
    const { role, handover } = this.#setup.volume.role();
    if (peer === this.#followed()) this.#schedule(0);
    else if (role === 'primary' || peer === handover?.to) this.#lookAt(peer);
  }

  /** The pull schedule has changed. */
  rescheduled(): void {
    this.#clock.reset();
    this.#schedule(0);
  }

  /** It is set anew what is kept of what the upstream has deleted. */
  keepsElse(): void {
    this.#schedule(0);
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (isPaused) this.#pull.stop();
    this.#schedule(0);
  }

  /**
   * When it resolves, everything that the upstream had at the call is here. Throws CommandError.
   */
  async syncNow(): Promise<PullAnswer> {
    // The current run may have asked the upstream before this call.
    await this.#run?.catch(() => undefined);
    const upstream = this.#followed();
    if (upstream === undefined) {
      throw new CommandError('nothing-to-follow', 'EINVAL', 'this volume follows no other');
    }
    if (this.#changing > 0) {
      throw new CommandError('role-changing', 'EBUSY', 'the role of this volume is being changed');
    }
    return this.#run ?? this.#start(upstream, 'pull');
  }

  #schedule(delayMs: number): void {
    this.#callOff();
    if (this.#isClosed) return;
    // The end of the current run would cancel what is scheduled here.
    if (this.#run !== undefined && delayMs === 0) this.#isWanted = true;
    this.#callOff = this.#setup.timers.after(delayMs, () => void this.#runWhenDue());
  }

  async #runWhenDue(): Promise<void> {
    const upstream = this.#followed();
    // The event that ends this state schedules the next run.
    if (upstream === undefined || this.#changing > 0) return;
    if (this.#isPaused) {
      this.#measureBehind();
      this.#schedule(this.#setup.idleMs);
      return;
    }
    if (this.#run !== undefined) return;
    await this.#start(upstream, this.#clock.kind).catch(() => undefined);
  }

  /** Measures how far the volume is behind, although it pulls nothing now. */
  #measureBehind(): void {
    const upstream = this.#followed();
    if (upstream === undefined || this.#run !== undefined) return;
    const saw = ({ snapshots }: LookAnswer): void => {
      const { volume } = this.#setup;
      if (this.#run !== undefined || this.#followed() !== upstream) return;
      const plan = planPull(snapshots, volume.snapshots());
      this.#lag.saw(upstream, plan);
      // Nothing is missing: what failed before is over, although no run says so while it is paused.
      if (plan.pending.length === 0) this.#failure = undefined;
    };
    this.roles.look(upstream).then(saw, () => undefined);
  }

  /** The status shows a failure, and the run is tried again. */
  #start(upstream: string, kind: RunKind): Promise<PullAnswer> {
    this.#isWanted = false;
    this.#released.delete(upstream);
    const run = this.#pullAndTakeOver(upstream, kind);
    this.#run = run;
    return run.then(
      (answer) => {
        this.#run = undefined;
        this.#failure = undefined;
        this.#retryMs = RETRY_MIN_MS;
        const pauseMs = this.#clock.ended(kind);
        this.#schedule(this.#isWanted ? 0 : pauseMs);
        return answer;
      },
      (error: unknown) => {
        this.#run = undefined;
        this.#lag.doubt();
        const message = messageOf(error);
        const code = error instanceof CommandError ? error.code : 'internal-error';
        this.#failure = { code, message, atMs: this.#setup.timers.nowMs() };
        this.#setup.log(`sync with ${upstream}: ${message}`);
        const spread = 0.5 + this.#setup.random();
        this.#schedule(this.#isWanted ? 0 : this.#retryMs * spread);
        this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
        throw error;
      },
    );
  }

  /** A handed-over role is taken within the run: no other run may start in the old role. */
  async #pullAndTakeOver(upstream: string, kind: RunKind): Promise<PullAnswer> {
    const answer = await this.#pull.run(upstream, kind);
    this.#known.note(upstream, answer.theirs);
    const { handover } = answer.theirs;
    if (handover !== undefined) await this.#takeOver(handover, kind);
    if (answer.received.length > 0) this.changed();
    return answer;
  }

  async #takeOver(handover: Handover, kind: RunKind): Promise<void> {
    if (!(await this.roles.takeOver(handover))) {
      // What the next primary lacks is due now, whatever the schedule says.
      if (kind === 'locks' && handover.to === this.#setup.volume.uuid) {
        this.#clock.reset();
        this.#isWanted = true;
      }
      return;
    }
    this.#setup.log('primary in the place of the one before');
    this.#tellRole();
  }

  /** Tells all peers about a changed role. */
  #tellRole(): void {
    this.#known.forgetConflicts();
    this.#lookAround();
    this.changed();
  }

  /** While `change` runs, nothing is pulled and no other change runs. */
  async #change<T>(change: () => Promise<T>): Promise<T> {
    this.#changing++;
    this.#pull.stop();
    const done = this.#turn.then(() => this.#run?.catch(() => undefined)).then(change);
    this.#turn = done.catch(() => undefined);
    try {
      return await done;
    } finally {
      this.#changing--;
      this.#retryMs = RETRY_MIN_MS;
      this.#schedule(0);
      this.#tellRole();
    }
  }

  promote(force = false): Promise<Epoch> {
    return this.#change(() => this.roles.promote(force));
  }

  demote(upstream: string): Promise<void> {
    return this.#change(() => this.roles.demote(upstream));
  }

  /**
   * Changes places with the primary (design.md, Fig 15D), on the standby: resolves when this volume
   * is primary. Throws CommandError.
   */
  async switchOver(): Promise<void> {
    // Missing data travels while the other side still takes writes, which shortens the pause in
    // writing.
    await this.syncNow();
    await this.#change(() => this.roles.askForHandover());
    const { volume } = this.#setup;
    if (volume.role().role === 'standby') await this.syncNow();
    if (volume.role().role === 'primary') return;
    throw new CommandError(
      'revert-unfinished',
      'EAGAIN',
      'the place was handed over and is taken as soon as the last snapshot is here',
    );
  }

  async #serve(from: string, request: SyncRequest): Promise<SyncAnswer> {
    const { volume } = this.#setup;
    switch (request.kind) {
      case 'look':
        this.#known.note(from, request.standing);
        if (from === volume.role().handover?.to) this.#lookAt(from);
        return this.#upstream.look();
      case 'greet':
        this.#known.note(from, request.standing);
        return this.#upstream.greet(request.standing);
      case 'locks': {
        const { sequence, has } = request;
        if (has !== undefined) this.#known.noteHas(from, has);
        const { outcomes, broken, isChanged } = await this.#lockSets.store(from, request);
        // The volumes further up need these locks too.
        if (isChanged) this.#schedule(0);
        // Once a peer follows this volume, this volume needs nothing of that peer any more.
        if (from !== this.#followed() && this.#known.isStandby(from)) this.#release(from);
        return { sequence, items: outcomes, broken };
      }
      case 'read':
        return this.#upstream.read(from, request);
      case 'size':
        return { bytes: await volume.sizeOf(request.request) };
      case 'hand-over':
        return this.#change(() => this.roles.handOver(from, request.epoch));
      case 'news':
        this.#retryMs = RETRY_MIN_MS;
        if (from === this.#followed()) {
          this.#lag.doubt();
          this.#schedule(0);
        } else if (from === volume.role().handover?.to) this.#lookAt(from);
        return null;
      default:
        throw unknownQuestion(request);
    }
  }

  /**
   * A peer need not keep anything for this volume if the volume does not follow it and did not
   * follow it before its own promotion.
   */
  #releaseOthers(): void {
    // This volume may be about to follow one of them.
    if (this.#changing > 0 || this.#isFollowingHeir) return;
    const { upstream } = this.#setup.volume.role();
    for (const peer of this.#setup.peers()) if (peer !== upstream) this.#release(peer);
  }

  /** Releases once, until this volume follows the peer again. */
  #release(peer: string): void {
    if (this.#released.has(peer)) return;
    this.#released.add(peer);
    this.#pull.release(peer).catch(() => this.#released.delete(peer));
  }

  async #seeHeir(answer: LookAnswer): Promise<void> {
    // The heir may answer several times before the first answer is stored.
    if (this.#isFollowingHeir) return;
    this.#isFollowingHeir = true;
    try {
      if (!(await this.roles.followHeir(answer))) return;
      this.#setup.log(`${answer.standing.volume} has taken the place of the primary`);
      this.#schedule(0);
    } finally {
      this.#isFollowingHeir = false;
    }
  }

  #lookAt(peer: string): void {
    // If the peer does not answer, or the result can't be stored now, a later look tries again.
    this.roles
      .look(peer)
      .then((answer) => {
        this.#known.note(peer, answer.standing);
        return this.#seeHeir(answer);
      })
      .catch(() => undefined);
  }

  /** Notices at the first contact a second primary, or the peer that has taken over. */
  #lookAround(): void {
    if (this.#isClosed) return;
    const { volume, peers, timers } = this.#setup;
    const { role, handover } = volume.role();
    if (role === 'primary') for (const peer of peers()) this.#lookAt(peer);
    else if (handover !== undefined) this.#lookAt(handover.to);
    this.#releaseOthers();
    if (this.#isLooking) return;
    this.#isLooking = true;
    timers.after(LOOK_EVERY_MS, () => {
      this.#isLooking = false;
      this.#lookAround();
    });
  }

  #isLooking = false;
  #isFollowingHeir = false;
  /** Peers that know, or are about to learn, that this volume needs nothing of them. */
  readonly #released = new Set<string>();
}
