/**
 * The comparison: in each round every file system is mounted afresh, each
 * workload is run on all of them one after the other (each round begins with
 * another one), and at the end all are mounted again and what they stored is
 * verified.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from './image.js';
import type { Result } from './report.js';
import { child, interruptible, run } from './shell.js';
import { FULL_TREE, makeTree, SMALL_TREE } from './source-tree.js';
import { Shadowfs, type System } from './systems.js';
import { type Material, titleOf, type Workload } from './workloads.js';

export function makeMaterial(image: Image, isQuick: boolean): Material {
  const source = join(image.disk, 'source');
  const archive = join(image.disk, 'source.tar');
  makeTree(source, archive, isQuick ? SMALL_TREE : FULL_TREE);
  const digest = (withTimes: number): string =>
    String(child('tree-digest', source, withTimes)['digest']);
  const [sequentialMiB, randomMiB, randomWrites] = isQuick ? [32, 16, 512] : [256, 64, 4096];
  const expected = (mib: number, writes: number): string =>
    String(child('expected-digest', '', mib, writes)['digest']);
  const material = {
    archive,
    digest: digest(1),
    digestWithoutTimes: digest(0),
    sequentialMiB,
    randomMiB,
    randomWrites,
    sequentialDigest: expected(sequentialMiB, 0),
    randomDigest: expected(randomMiB, randomWrites),
  };
  rmSync(source, { recursive: true });
  return material;
}

interface Seat {
  system: System;
  data: string;
  mountpoint: string;
  root: string;
}

export interface Comparing {
  image: Image;
  systems: readonly System[];
  workloads: readonly Workload[];
  material: Material;
  rounds: number;
  say: (message: string) => void;
}

export async function compareSystems(what: Comparing): Promise<Result[]> {
  const results = what.workloads.map(({ name }): Result => {
    const roundsMs = Object.fromEntries(what.systems.map((system) => [system.name, []]));
    return { workload: name, title: titleOf(name, what.material), roundsMs };
  });
  for (let round = 0; round < what.rounds; round++) await runRound(what, round, results);
  return results;
}

async function runRound(what: Comparing, round: number, results: readonly Result[]): Promise<void> {
  const { image, workloads, material, say } = what;
  const data = join(image.disk, `round-${round}`);
  const seats = what.systems.map((system): Seat => {
    const mountpoint = join(image.directory, 'mounts', system.name);
    const seat = { system, data: join(data, system.name), mountpoint, root: '' };
    mkdirSync(seat.mountpoint, { recursive: true });
    seat.root = system.mount(seat.data, seat.mountpoint);
    return seat;
  });
  for (const [i, workload] of workloads.entries()) {
    for (let turn = 0; turn < seats.length; turn++) {
      const seat = seats[(turn + round + i) % seats.length];
      if (seat === undefined) continue;
      await interruptible();
      workload.prepare?.(seat.root, material);
      for (const other of seats) settle(image, other);
      const ms = workload.run(seat.root, material);
      results[i]?.roundsMs[seat.system.name]?.push(ms);
      say(`round ${round + 1}  ${workload.name}  ${seat.system.name}  ${ms.toFixed(1)} ms`);
    }
  }
  for (const seat of seats) {
    verify(seat, workloads, material);
    seat.system.unmount(seat.mountpoint);
  }
  rmSync(data, { recursive: true });
}

function settle(image: Image, { system, mountpoint }: Seat): void {
  if (system.settle !== undefined) {
    run('sync', ['-f', mountpoint]);
    system.settle(mountpoint);
  }
  run('sync', ['-f', image.disk]);
}

/** On a fresh mount, so that what is read comes from where it was stored. */
function verify(seat: Seat, workloads: readonly Workload[], material: Material): void {
  const { system, data, mountpoint } = seat;
  system.unmount(mountpoint);
  const root = system.mount(data, mountpoint);
  for (const workload of workloads) {
    try {
      workload.verify?.(root, material, system.keepsTimes ?? true);
    } catch (error) {
      throw new Error(`${system.name}: ${workload.name}`, { cause: error });
    }
  }
  if (system instanceof Shadowfs) system.check(mountpoint);
}
