/** Machines that make group saves in a virtual world, and what must hold of what they do. */
import { GroupSaves } from '../../src/sync/group/group-saves.js';
import type {
  CommitRecords,
  GroupAnswer,
  GroupMessage,
  GroupVolume,
  Point,
} from '../../src/sync/group/group-messages.js';
import { Random } from '../model/random.js';
import { FAIR, timersOf, VirtualNetwork, VirtualTime } from './virtual.js';

const PARK_MAX_MS = 400;
const SAVE_MAX_MS = 600;
/** The longest that storing something takes here. */
const SLOW_MS = 150;
export const LIMITS = { greetMaxMs: 300, parkMaxMs: PARK_MAX_MS, saveMaxMs: SAVE_MAX_MS };
const SETTLE_MS = 20_000;

/** A machine's steps at which it can stop. */
const STEPS = ['park', 'save', 'keep', 'drop', 'record', 'forget'] as const;
type Step = (typeof STEPS)[number];

interface Kept {
  key: string;
  /** Between these it stood still, in virtual time. */
  parkedMs: number;
  savedMs: number;
}

class Stopped extends Error {}

/** What survives a stop. */
class Disk {
  incarnation = 0;
  readonly tentative = new Map<string, { point: Point } & Kept>();
  /** Snapshots by name. */
  readonly kept = new Map<string, Kept>();
  readonly records = new Map<string, readonly string[]>();
}

class Machine {
  readonly disk = new Disk();
  isRunning = false;
  /** Since when the running incarnation stands still. */
  parkedMs: number | undefined;
  saves: GroupSaves | undefined;
  /** Set by the world: stop at the next such step, before or after it took effect. */
  stopAt: { step: Step; isAfter: boolean } | undefined;

  constructor(
    readonly name: string,
    readonly world: GroupWorld,
  ) {}

  start(): void {
    this.disk.incarnation++;
    this.isRunning = true;
    this.parkedMs = undefined;
    const { incarnation } = this.disk;
    // A stopped run keeps its closures: they must do nothing any more.
    const isRunning = (): boolean => this.isRunning && this.disk.incarnation === incarnation;
    const { time, network } = this.world;
    this.saves = new GroupSaves({
      name: this.name,
      incarnation,
      fabric: network.connect(this.name, isRunning),
      timers: timersOf(time, isRunning),
      volume: this.#volume(isRunning),
      records: this.#records(isRunning),
    });
  }

  stop(): void {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.parkedMs = undefined;
    this.world.network.disconnect(this.name);
    this.world.stops++;
    this.world.time.after(this.world.random.between(1, 1500), () => this.start());
  }

  /** One step that takes time and may be the last; `effect` is what is on disk afterwards. */
  async #step<T>(step: Step, isRunning: () => boolean, effect: () => T): Promise<T> {
    const { random, time } = this.world;
    await new Promise<void>((resolve) => {
      time.after(
        random.chance(this.world.slowness) ? random.between(50, SLOW_MS) : random.between(0, 4),
        resolve,
      );
    });
    const never = (): Promise<never> => new Promise(() => undefined);
    if (!isRunning()) return never();
    const isLast = this.stopAt?.step === step;
    if (isLast && !this.stopAt?.isAfter) {
      this.stopAt = undefined;
      this.stop();
      return never();
    }
    const result = effect();
    if (isLast) {
      this.stopAt = undefined;
      this.stop();
      return never();
    }
    return result;
  }

  #volume(isRunning: () => boolean): GroupVolume {
    const { disk, world } = this;
    return {
      park: () =>
        this.#step('park', isRunning, () => {
          if (world.random.chance(world.troubles)) throw new Stopped('no space left');
          this.parkedMs = world.time.nowMs;
        }),
      unpark: () => {
        if (this.parkedMs === undefined) throw new Error(`${this.name}: let go twice`);
        const forMs = world.time.nowMs - this.parkedMs;
        world.longestParkedMs = Math.max(world.longestParkedMs, forMs);
        this.parkedMs = undefined;
      },
      saveTentative: (point) =>
        this.#step('save', isRunning, () => {
          if (disk.kept.has(point.name)) throw new Stopped(`${point.name} exists`);
          const { parkedMs } = this;
          if (parkedMs === undefined) throw new Error(`${this.name}: saved while not parked`);
          const { key } = point;
          disk.tentative.set(key, { point, key, parkedMs, savedMs: world.time.nowMs });
        }),
      keep: (key) =>
        this.#step('keep', isRunning, () => {
          const snapshot = disk.tentative.get(key);
          if (snapshot === undefined) return;
          disk.tentative.delete(key);
          disk.kept.set(snapshot.point.name, snapshot);
        }),
      drop: (key) => this.#step('drop', isRunning, () => void disk.tentative.delete(key)),
      tentative: () => [...disk.tentative.values()].map(({ point }) => point),
    };
  }

  #records(isRunning: () => boolean): CommitRecords {
    const { records } = this.disk;
    return {
      add: (key, directors) =>
        this.#step('record', isRunning, () => void records.set(key, directors)),
      has: (key) => records.has(key),
      remove: (key) => this.#step('forget', isRunning, () => void records.delete(key)),
      all: () => [...records].map(([key, directors]) => ({ key, directors })),
    };
  }
}

interface Asked {
  name: string;
  by: string;
  peers: string[];
  answer?: GroupAnswer;
}

export class GroupWorld {
  readonly random: Random;
  readonly time = new VirtualTime();
  readonly network: VirtualNetwork<GroupMessage>;
  readonly machines: Machine[];
  readonly asked: Asked[] = [];
  /** How likely it is that a machine can't be parked. */
  troubles = 0;
  /** How likely it is that a step takes long. */
  slowness = 0.05;
  longestParkedMs = 0;
  stops = 0;

  constructor(seed: number, count: number) {
    this.random = new Random(seed);
    this.network = new VirtualNetwork(this.time, this.random);
    this.machines = Array.from({ length: count }, (_, i) => new Machine(`m${i}`, this));
    for (const machine of this.machines) machine.start();
  }

  ask(by: Machine, name: string, peers: readonly Machine[]): void {
    if (!by.isRunning || by.saves === undefined) return;
    const asked: Asked = { name, by: by.name, peers: peers.map((peer) => peer.name) };
    this.asked.push(asked);
    const { incarnation } = by.disk;
    void by.saves.save(name, asked.peers, LIMITS).then((answer) => {
      if (by.disk.incarnation === incarnation) asked.answer = answer;
    });
  }

  stopAtStep(machine: Machine): void {
    machine.stopAt = { step: this.random.pick(STEPS), isAfter: this.random.chance(0.5) };
  }

  /** Everything heals and runs; then it must come to rest. */
  async settle(): Promise<void> {
    this.troubles = 0;
    this.network.weather = FAIR;
    this.network.cut.clear();
    for (const machine of this.machines) machine.stopAt = undefined;
    await this.time.run(this.time.nowMs + SETTLE_MS);
  }

  /** What does not hold, in words; undefined when all does. To be asked after `settle`. */
  broken(): string | undefined {
    if (this.longestParkedMs > PARK_MAX_MS + SLOW_MS)
      return `changes were parked for ${this.longestParkedMs} ms`;
    for (const { name, parkedMs, disk } of this.machines) {
      if (parkedMs !== undefined) return `${name} is still parked`;
      if (disk.tentative.size > 0) return `${name} has a tentative snapshot`;
      if (disk.records.size > 0) return `${name} has a commit record`;
    }
    for (const asked of this.asked) {
      const wrong = this.#wrongWith(asked);
      if (wrong !== undefined) return `group save ${asked.name}: ${wrong}`;
    }
    return undefined;
  }

  #wrongWith({ name, by, peers, answer }: Asked): string | undefined {
    const selected = this.machines.filter((one) => one.name === by || peers.includes(one.name));
    const having = selected.filter(({ disk }) => disk.kept.has(name));
    if (having.length !== 0 && having.length !== selected.length)
      return `only ${having.map((one) => one.name).join(' ')} of ${selected.map((one) => one.name).join(' ')} have it`;
    if (answer !== undefined && (answer.outcome === 'committed') !== having.length > 0)
      return `the answer was ${answer.outcome}, ${having.length} have it`;
    if (answer?.outcome === 'dropped' && Object.keys(answer.missing).length === 0)
      return 'nobody is to blame';
    const all = having.map(({ disk }) => disk.kept.get(name) as Kept);
    if (new Set(all.map(({ key }) => key)).size > 1) return 'it is not of one point';
    const lastParkedMs = Math.max(...all.map(({ parkedMs }) => parkedMs));
    const firstSavedMs = Math.min(...all.map(({ savedMs }) => savedMs));
    if (all.length > 0 && lastParkedMs > firstSavedMs)
      return `one was saved at ${firstSavedMs} ms, before another stood still at ${lastParkedMs} ms`;
    return undefined;
  }
}

/** One history: a few group saves in bad weather, with stops, cuts and full disks. Returns what broke. */
export async function groupHistory(seed: number): Promise<{ broken?: string; world: GroupWorld }> {
  const world = new GroupWorld(seed, 2 + (seed % 5));
  const { random, time, network, machines } = world;
  const isBad = random.chance(0.85);
  if (isBad) {
    network.weather = {
      lost: random.pick([0, 5, 30]),
      doubled: random.pick([0, 20]),
      delayMinMs: 1,
      delayMaxMs: random.pick([3, 50, 200]),
    };
    world.troubles = random.pick([0, 0, 0.1]);
  }
  const count = random.between(1, 5);
  for (let i = 0; i < count; i++) {
    const by = random.pick(machines);
    const peers = machines.filter((one) => one !== by && random.chance(0.8));
    world.ask(by, `group-${i}`, peers);
    // Sometimes two at a time.
    if (random.chance(0.3)) world.ask(random.pick(machines), `other-${i}`, machines);
    const events = isBad ? random.below(4) : 0;
    for (let n = 0; n < events; n++) {
      const machine = random.pick(machines);
      time.after(random.below(600), () => {
        const what = random.below(3);
        if (what === 0) machine.stop();
        else if (what === 1) world.stopAtStep(machine);
        else network.cut.add(`${machine.name} ${random.pick(machines).name}`);
      });
      time.after(random.between(600, 2000), () => network.cut.clear());
    }
    await time.run(time.nowMs + random.between(200, 2500));
  }
  await world.settle();
  const broken = world.broken();
  return broken === undefined ? { world } : { broken, world };
}
