/** Machines with agents in a virtual world, in chains and stars, and what must hold of what they do. */
import { CommandError } from '../../src/lib/errors.js';
import { Agent } from '../../src/sync/agent/agent.js';
import type { CallMessage } from '../../src/sync/agent/calls.js';
import { compareEpochs } from '../../src/sync/agent/messages.js';
import { Random } from '../model/random.js';
import {
  type AgentVolumeHost,
  AgentVolume,
  type Content,
  Disk,
  type StoredSnapshot,
} from './agent-volume.js';
import { FAIR, timersOf, VirtualNetwork, VirtualTime } from './virtual.js';

const SAY = process.env['SAY'] !== undefined;
const SLOW_MS = 400;
/** A run of everybody's, with its retries. */
const ROUND_MS = 150_000;
const ROUNDS = 10;
/** Of those that do not fetch as soon as there is news. */
const SCHEDULE_MS = 45_000;

/** The changes of a machine's disk at which it can stop. */
const STEPS = [
  'locks',
  'receive',
  'push',
  'adopt',
  'suspend',
  'drop',
  'show',
  'promote',
  'demote',
  'hand-over',
  'follow',
] as const;

export class AgentMachine {
  readonly disk: Disk;
  isRunning = false;
  agent: Agent | undefined;
  volume: AgentVolume | undefined;
  isFull = false;
  stopAt: { step: string; isAfter: boolean } | undefined;
  /** Writes that this machine took as a primary, and that nobody deleted here on purpose. */
  readonly written = new Set<number>();
  /** Sequences that downstreams have stored here. */
  readonly #sequences = new Map<string, number>();

  constructor(
    readonly name: string,
    readonly world: AgentWorld,
    upstream: string | undefined,
  ) {
    this.disk = new Disk(name, upstream === undefined, upstream);
    if (world.isScheduled()) this.disk.pullEveryMs = SCHEDULE_MS;
    this.disk.prunes = world.prunes;
  }

  start(): void {
    const { disk, world } = this;
    const incarnation = ++disk.incarnation;
    this.isRunning = true;
    // A stopped run keeps its closures: they must do nothing any more.
    const isRunning = (): boolean => this.isRunning && disk.incarnation === incarnation;
    this.volume = new AgentVolume(disk, this.#host(isRunning));
    this.agent = new Agent({
      volume: this.volume,
      incarnation,
      fabric: world.network.connect(this.name, isRunning),
      timers: timersOf(world.time, isRunning),
      random: () => world.random.below(1000) / 1000,
      name: `tree of ${this.name}`,
      dataset: '/',
      idleMs: 60_000,
      peers: () => world.machines.map(({ name }) => name).filter((name) => name !== this.name),
      nameOf: (peer) => `peer ${peer}`,
      log: (message) => world.say(() => `${this.name}: ${message}`),
    });
    this.agent.start();
  }

  stop(): void {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.agent?.close();
    this.world.network.disconnect(this.name);
    this.world.stops++;
    this.world.time.after(this.world.random.between(10, 30_000), () => this.start());
  }

  #host(isRunning: () => boolean): AgentVolumeHost {
    const { world } = this;
    return {
      step: (name, effect) => this.#step(name, isRunning, effect),
      nowMs: () => world.time.nowMs + world.skewOf(this),
      isFull: () => this.isFull,
      say: (message) => world.say(message),
      registry: world.registry,
      pruned: (snapshot) => {
        world.pruned++;
        world.needHolds(this, snapshot.uuid);
        this.#forget(snapshot);
      },
      changed: (what) => this.#check(what),
    };
  }

  async #step<T>(name: string, isRunning: () => boolean, effect: () => T): Promise<T> {
    const { random, time, slowness } = this.world;
    const delayMs = random.chance(slowness) ? random.between(50, SLOW_MS) : random.between(0, 4);
    await new Promise<void>((resolve) => void time.after(delayMs, resolve));
    const never = (): Promise<never> => new Promise(() => undefined);
    if (!isRunning()) return never();
    const isLast = this.stopAt?.step === name;
    if (isLast && !this.stopAt?.isAfter) {
      this.stopAt = undefined;
      this.stop();
      return never();
    }
    const result = effect();
    if (!isLast) return result;
    this.stopAt = undefined;
    this.stop();
    return never();
  }

  /** What must hold after each change of this machine's disk. */
  #check(what: string): void {
    const { disk, world, name } = this;
    world.say(
      () =>
        `${name} ${what}: ${JSON.stringify({ ...disk.role, need: disk.need, shown: disk.shown })}`,
    );
    const { role, epoch } = disk.role;
    if (role === 'primary') {
      const key = `${epoch.number} ${epoch.by}`;
      const before = world.primaries.get(key) ?? name;
      if (before !== name) world.fault(`${name} and ${before} were primary in epoch ${key}`);
      world.primaries.set(key, name);
    } else if (disk.shown !== undefined) {
      const shown = world.registry.get(disk.shown);
      if (shown === undefined || !isSame(shown, disk.live)) {
        world.fault(`${name} shows something else than ${disk.shown} after ${what}`);
      }
    }
    for (const snapshot of what === 'adopt' ? disk.snapshots : []) {
      const made = world.registry.get(snapshot.uuid);
      if (made === undefined || !isSame(made, snapshot.content)) {
        world.fault(`${name}: the snapshot ${snapshot.uuid} is not what was made`);
      }
    }
    for (const [from, { sequence }] of disk.locks) {
      if (sequence < (this.#sequences.get(from) ?? 0)) world.fault(`${name}: old locks of ${from}`);
      this.#sequences.set(from, sequence);
    }
    if (what === 'promote' && disk.need !== undefined && disk.shown === disk.need.snapshot) {
      const content = world.registry.get(disk.need.snapshot) as Content;
      if (!isSame(content, disk.live)) world.fault(`${name}: synced writes lost in a failover`);
    }
    this.checkWritten(what);
  }

  checkWritten(what: string): void {
    const { disk, world } = this;
    for (const write of this.written) {
      const isThere = disk.live.has(write) || disk.snapshots.some((s) => s.content.has(write));
      if (!isThere) world.fault(`${this.name}: the write ${write} is lost after ${what}`);
    }
  }

  get running(): Agent {
    if (this.agent === undefined) throw new Error(`${this.name} does not run`);
    return this.agent;
  }

  // What people do.

  write(): void {
    const { disk, world } = this;
    if (!this.isRunning || disk.role.role !== 'primary') return;
    for (let i = world.random.between(1, 8); i > 0; i--) {
      const write = ++world.writes;
      disk.live.add(write);
      this.written.add(write);
    }
  }

  save(): void {
    if (!this.isRunning || this.volume === undefined) return;
    const isPrimary = this.disk.role.role === 'primary';
    // A standby that has nothing yet has nothing to save.
    if (!isPrimary && this.disk.shown === undefined) return;
    this.volume.save(isPrimary ? 'saved' : 'local');
    this.agent?.changed();
  }

  delete(uuid: string, isForced: boolean): void {
    const { disk, world } = this;
    if (!this.isRunning) return;
    const snapshot = disk.find(uuid);
    if (snapshot === undefined) return;
    if (!isForced && disk.lockOf(uuid) !== undefined) {
      world.refused++;
      return;
    }
    world.say(() => `${this.name} deletes ${uuid}${isForced ? ' by force' : ''}`);
    disk.snapshots = disk.snapshots.filter((one) => one !== snapshot);
    // Who deletes by force what it starts from itself has to start from something else.
    if (disk.need?.snapshot === uuid) disk.need = undefined;
    for (const [from, set] of disk.locks) {
      if (set.items.some((item) => item.snapshot === uuid)) {
        const broken = disk.broken.get(from) ?? new Set();
        disk.broken.set(from, broken.add(uuid));
      }
      set.items = set.items.filter((item) => item.snapshot !== uuid);
    }
    if (isForced) world.forced.add(`${this.name} ${uuid}`);
    else world.needHolds(this, uuid);
    this.#forget(snapshot);
  }

  /** Whoever deletes the only copy means it. What a standby shows is replaced by what arrives. */
  #forget(snapshot: StoredSnapshot): void {
    const { disk } = this;
    const isKeptLive = disk.role.role === 'primary';
    for (const write of snapshot.content) {
      const isThere =
        (isKeptLive && disk.live.has(write)) || disk.snapshots.some((s) => s.content.has(write));
      if (!isThere) this.written.delete(write);
    }
  }
}

function isSame(a: Content, b: Content): boolean {
  if (a.size !== b.size) return false;
  for (const one of a) if (!b.has(one)) return false;
  return true;
}

export class AgentWorld {
  readonly random: Random;
  readonly time = new VirtualTime();
  readonly network: VirtualNetwork<CallMessage>;
  readonly machines: AgentMachine[];
  readonly registry = new Map<string, Content>();
  readonly primaries = new Map<string, string>();
  readonly forced = new Set<string>();
  slowness = 0.05;
  stops = 0;
  refused = 0;
  pruned = 0;
  writes = 0;
  done: Record<string, number> = {};
  #fault: string | undefined;
  readonly #skews: number[];
  /** Of its own: the histories of older seeds stay what they are. */
  readonly #schedules: Random;

  constructor(
    readonly seed: number,
    count: number,
    /** Nobody pulls by a schedule. */
    readonly isPlain = false,
  ) {
    this.random = new Random(seed);
    this.#schedules = new Random(~seed);
    this.network = new VirtualNetwork(this.time, this.random);
    const shape = this.random.pick(['chain', 'star', 'tree']);
    const upstreamOf = (i: number): string | undefined => {
      if (i === 0) return undefined;
      const above = shape === 'chain' ? i - 1 : shape === 'star' ? 0 : this.random.below(i);
      return `m${above}`;
    };
    this.machines = Array.from({ length: count }, (_, i) => {
      return new AgentMachine(`m${i}`, this, upstreamOf(i));
    });
    // Clocks are apart by up to an hour.
    this.#skews = this.machines.map(() => this.random.between(-3_600_000, 3_600_000));
    for (const machine of this.machines) machine.start();
  }

  /** In one of eight, by the seed alone: the histories of older seeds stay what they are. */
  get prunes(): boolean {
    return !this.isPlain && this.seed % 8 === 7;
  }

  /** Where a machine may stop. */
  get steps(): readonly string[] {
    return this.prunes ? [...STEPS, 'prune'] : STEPS;
  }

  isScheduled(): boolean {
    return !this.isPlain && this.#schedules.chance(0.15);
  }

  skewOf(machine: AgentMachine): number {
    return this.#skews[this.machines.indexOf(machine)] as number;
  }

  /** What happens, when SAY is set: to understand a seed. */
  say(message: () => string): void {
    if (SAY) process.stderr.write(`${Math.round(this.time.nowMs)} ${message()}\n`);
  }

  fault(what: string): void {
    this.say(() => `FAULT ${what}`);
    this.#fault ??= `at ${Math.round(this.time.nowMs)} ms: ${what}`;
  }

  /**
   * The downstream has let go of `gone` at `upstream`, and locked something else there that both
   * have: its next run starts from that.
   */
  #startsElsewhere(upstream: AgentMachine, { name, disk }: AgentMachine, gone: string): boolean {
    const items = upstream.disk.locks.get(name)?.items ?? [];
    const own = items.filter(({ origin }) => origin === name).map(({ snapshot }) => snapshot);
    return (
      !own.includes(gone) &&
      own.some((one) => upstream.disk.find(one) !== undefined && disk.find(one) !== undefined)
    );
  }

  /** A plain deletion at `upstream` must not have hit what somebody needs. */
  needHolds(upstream: AgentMachine, snapshot: string): void {
    // Once it was gone by force, the downstream has to find out that it is back.
    if (this.forced.has(`${upstream.name} ${snapshot}`)) return;
    for (const machine of this.machines) {
      const { name, disk } = machine;
      const { need, role } = disk;
      const depends =
        need?.snapshot === snapshot &&
        need.from === upstream.name &&
        !this.#startsElsewhere(upstream, machine, snapshot);
      if (depends && role.role === 'standby' && role.upstream === upstream.name) {
        this.fault(`${snapshot} is gone on ${upstream.name}, and ${name} needs it`);
      }
    }
  }

  /** A person's command; what refuses it is an answer. */
  command(what: string, body: () => Promise<unknown> | undefined): void {
    this.done[what] = (this.done[what] ?? 0) + 1;
    this.say(() => what);
    body()?.catch((error: unknown) => {
      this.say(() => `${what}: ${String(error)}`);
      if (!(error instanceof CommandError)) this.fault(`${what}: ${String(error)}`);
    });
  }

  /** Everything heals; somebody resolves what only a person can; then it must come to rest. */
  async settle(): Promise<void> {
    this.network.weather = FAIR;
    this.network.cut.clear();
    for (const machine of this.machines) {
      machine.stopAt = undefined;
      machine.isFull = false;
    }
    await this.time.run(this.time.nowMs + ROUND_MS);
    for (let round = 0; round < ROUNDS && this.#resolve(); round++) {
      await this.time.run(this.time.nowMs + ROUND_MS);
    }
    const primary = this.#newestPrimary();
    primary?.write();
    primary?.save();
    // In a chain each may wait for its own schedule.
    const scheduled = this.machines.filter(({ disk }) => disk.pullEveryMs !== undefined);
    await this.time.run(this.time.nowMs + ROUND_MS + scheduled.length * SCHEDULE_MS);
  }

  #newestPrimary(): AgentMachine | undefined {
    return this.machines
      .filter(({ disk }) => disk.role.role === 'primary')
      .sort((a, b) => compareEpochs(b.disk.role.epoch, a.disk.role.epoch))[0];
  }

  /** What a person does who sees the conflicts; false when there is nothing to do. */
  #resolve(): boolean {
    const primary = this.#newestPrimary();
    const highest = [...this.machines].sort((a, b) =>
      compareEpochs(b.disk.role.epoch, a.disk.role.epoch),
    )[0] as AgentMachine;
    if (primary === undefined || primary !== highest) {
      const isBehind =
        primary === undefined ||
        compareEpochs(primary.disk.role.epoch, highest.disk.role.epoch) < 0;
      if (isBehind) {
        const one = primary ?? highest;
        this.command('resolve', () => one.agent?.promote(true));
        return true;
      }
    }
    let isToDo = false;
    for (const machine of this.machines) {
      if (machine === primary || primary === undefined) continue;
      if (machine.disk.role.role === 'standby' && this.#reaches(machine, primary)) continue;
      isToDo = true;
      this.command('resolve', () => machine.agent?.demote(primary.name));
    }
    return isToDo;
  }

  #reaches(from: AgentMachine, primary: AgentMachine): boolean {
    let at: AgentMachine | undefined = from;
    for (let i = 0; i < this.machines.length; i++) {
      if (at === primary) return true;
      const up: string | undefined = at?.disk.role.upstream;
      at = this.machines.find(({ name }) => name === up);
    }
    return false;
  }

  /** What the upstream has deleted, and nobody holds here. */
  #unpruned({ disk }: AgentMachine): string | undefined {
    const { role } = disk;
    const up = this.machines.find(({ name }) => role.role === 'standby' && name === role.upstream);
    if (up === undefined) return undefined;
    return disk.snapshots.find(({ uuid, kind }) => {
      const isHeld = uuid === disk.shown || disk.lockOf(uuid) !== undefined;
      return kind === 'received' && !isHeld && up.disk.find(uuid) === undefined;
    })?.uuid;
  }

  /** What does not hold, in words; undefined when all does. To be asked after `settle`. */
  broken(): string | undefined {
    if (this.#fault !== undefined) return this.#fault;
    const primaries = this.machines.filter(({ disk }) => disk.role.role === 'primary');
    if (primaries.length !== 1) return `${primaries.length} primaries at the end`;
    const [primary] = primaries as [AgentMachine];
    for (const machine of this.machines) {
      const { name, disk, agent } = machine;
      if (!this.#reaches(machine, primary)) return `${name} does not follow ${primary.name}`;
      if (!isSame(disk.live, primary.disk.live)) {
        return `${name} is not like ${primary.name} at the end: ${agent?.status().failure?.message}`;
      }
      for (const [from, broken] of disk.broken) {
        const theirs = this.machines.find((one) => one.name === from)?.disk.role;
        const isFollower = theirs?.role === 'standby' && theirs.upstream === name;
        if (isFollower && broken.size > 0)
          return `${name}: ${from} was not told of a deletion by force`;
      }
      for (const [from, { items }] of disk.locks) {
        const follower = this.machines.find((one) => one.name === from);
        const isFollowed = follower?.disk.role.upstream === name;
        if (items.length > 0 && !isFollowed) return `${name}: locks of ${from} have leaked`;
      }
      const left = disk.prunes ? this.#unpruned(machine) : undefined;
      if (left !== undefined) return `${name} has kept ${left}, which its upstream has deleted`;
      if (machine !== primary && disk.need !== undefined) {
        const { snapshot, from } = disk.need;
        const up = this.machines.find((one) => one.name === from);
        const isLocked = up?.disk.locks.get(name)?.items.some((item) => item.snapshot === snapshot);
        if (isLocked !== true) return `${name}: ${snapshot} is not locked on ${from} at the end`;
      }
    }
    return undefined;
  }
}
