/**
 * The comparison: in each round and stage every file system is mounted afresh,
 * each workload is run on all of them one after the other (each round begins
 * with another one), and at the end all are mounted again and what they stored
 * is verified.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from './image.js';
import { type Material, Unavailable } from './material.js';
import type { Measured } from './report/measured.js';
import { interruptible, run } from './shell.js';
import { Shadowfs } from './systems/shadowfs.js';
import { anonymousBytes, type Place, type System } from './systems/system.js';
import type { Seat, Stage, Workload } from './workloads/workload.js';

export interface Comparing {
  image: Image;
  systems: readonly System[];
  stages: readonly Stage[];
  material: Material;
  rounds: number;
  say: (message: string) => void;
}

export interface Compared {
  rows: Measured[];
  /** What could not be run here, and why. */
  leftOut: string[];
  /** What went wrong: a workload of a system failed, or what it wrote was not found again. */
  failures: Failure[];
}

export interface Failure {
  system: string;
  workload: string;
  reason: string;
}

class MountedSeat implements Seat {
  readonly place: Place;
  root = '';

  constructor(
    readonly system: System,
    readonly image: Image,
    data: string,
    readonly base: string | undefined,
  ) {
    const mountpoint = join(image.directory, 'mounts', system.name);
    this.place = { data: join(system.disk ?? image.disk, data), mountpoint };
    mkdirSync(mountpoint, { recursive: true });
    this.mount();
  }

  get keepsTimes(): boolean {
    return this.system.keepsTimes ?? true;
  }

  mount(): void {
    mkdirSync(join(this.place.data, '..'), { recursive: true });
    this.root = this.system.mount(this.place, this.base);
  }

  remount(): void {
    this.system.unmount(this.place);
    this.mount();
  }

  cool(): void {
    this.settle();
    if (this.system.isServed) this.system.unmount(this.place);
    run('sync', []);
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    if (this.system.isServed) this.mount();
  }

  settle(): void {
    run('sync', ['-f', this.root]);
    this.system.settle?.(this.place);
    run('sync', ['-f', this.system.disk ?? this.image.disk]);
  }

  storedBytes(): number {
    this.settle();
    return this.system.storedBytes(this.place);
  }

  allocatedBytes(): number | undefined {
    return this.system instanceof Shadowfs ? this.system.allocatedBytes(this.place) : undefined;
  }

  memoryBytes(): number | undefined {
    const pid = this.system.serverPid?.(this.place);
    return pid === undefined ? undefined : anonymousBytes(pid);
  }
}

export async function compareSystems(what: Comparing): Promise<Compared> {
  const compared: Compared = { rows: [], leftOut: [], failures: [] };
  const stages = what.stages.filter((stage) => {
    try {
      stage.needs?.(what.material);
      return true;
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      compared.leftOut.push(`${stage.name}: ${error.message}`);
      return false;
    }
  });
  for (const { rows } of stages.flatMap(({ workloads }) => workloads)) {
    for (const { name, title, unit, target } of rows) {
      const goal =
        target === undefined || 'ratio' in target
          ? target
          : { atMost: target.atMost(what.material) };
      compared.rows.push({
        name,
        title: title(what.material),
        unit,
        ...(goal !== undefined && { target: goal }),
        rounds: Object.fromEntries(what.systems.map((system) => [system.name, []])),
        memoryBytes: {},
      });
    }
  }
  for (let round = 0; round < what.rounds; round++) {
    for (const stage of stages) await runStage(what, stage, round, compared);
  }
  return compared;
}

async function runStage(
  what: Comparing,
  stage: Stage,
  round: number,
  compared: Compared,
): Promise<void> {
  const { image, systems, material } = what;
  const data = `${stage.name}-${round}`;
  const base = stage.base?.(material);
  const seats: MountedSeat[] = [];
  for (const system of systems) {
    await interruptible();
    seats.push(new MountedSeat(system, image, join(data, system.name), base));
  }
  for (const [i, workload] of stage.workloads.entries()) {
    for (let turn = 0; turn < seats.length; turn++) {
      const seat = seats[(turn + round + i) % seats.length];
      if (seat === undefined) continue;
      await interruptible();
      runOne(what, seat, workload, compared, round);
    }
  }
  for (const seat of seats) {
    await interruptible();
    verify(seat, stage.workloads, material, compared);
    seat.system.unmount(seat.place);
  }
  for (const disk of new Set(systems.map((system) => system.disk ?? image.disk))) {
    rmSync(join(disk, data), { recursive: true, force: true });
  }
}

function failed(
  compared: Compared,
  { system }: MountedSeat,
  { name, rows }: Workload,
  error: unknown,
): void {
  const reason = error instanceof Error ? error.message : String(error);
  compared.failures.push({ system: system.name, workload: name, reason });
  // A time in which the work was not done says nothing.
  for (const { rounds, name: row } of compared.rows) {
    if (rows.some((own) => own.name === row)) delete rounds[system.name];
  }
}

function hasFailed({ failures }: Compared, seat: MountedSeat, workload: Workload): boolean {
  return failures.some(
    (failure) => failure.system === seat.system.name && failure.workload === workload.name,
  );
}

function runOne(
  { material, say }: Comparing,
  seat: MountedSeat,
  workload: Workload,
  compared: Compared,
  round: number,
): void {
  if (hasFailed(compared, seat, workload)) return;
  const { name } = seat.system;
  try {
    workload.prepare?.(seat, material);
    seat.settle();
    const values = workload.run(seat, material);
    seat.settle();
    const memory = seat.memoryBytes();
    for (const [row, value] of Object.entries(values)) {
      const result = compared.rows.find((one) => one.name === row);
      if (result === undefined) continue;
      add(result.rounds, name, value);
      if (memory !== undefined && row === workload.name) add(result.memoryBytes, name, memory);
      say(`round ${round + 1}  ${row}  ${name}  ${value.toFixed(2)} ${result.unit}`);
    }
  } catch (error) {
    failed(compared, seat, workload, error);
  }
}

function add(lists: Record<string, number[]>, name: string, value: number): void {
  const list = lists[name] ?? [];
  lists[name] = list;
  list.push(value);
}

/** On a fresh mount, so that what is read comes from where it was stored. */
function verify(
  seat: MountedSeat,
  workloads: readonly Workload[],
  material: Material,
  compared: Compared,
): void {
  const { system } = seat;
  seat.remount();
  for (const workload of workloads) {
    if (hasFailed(compared, seat, workload)) continue;
    try {
      workload.verify?.(seat, material);
    } catch (error) {
      failed(compared, seat, workload, error);
    }
  }
  if (system instanceof Shadowfs) system.check(seat.place);
}
