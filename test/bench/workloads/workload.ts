/**
 * What a workload is: work that is timed on each file system, what must be
 * found there afterwards, and the target for shadowfs. Workloads of one stage
 * run one after the other on the same fresh mount and may use what an earlier
 * one made, which `prepare` makes, untimed, when that one was left out.
 */
import type { Material } from '../material.js';
import { run, timed } from '../shell.js';

/** One file system, mounted. */
export interface Seat {
  /** Where to work. */
  readonly root: string;
  readonly keepsTimes: boolean;
  /** Nothing is cached any more: neither by the kernel nor by a server, which is started afresh. */
  cool(): void;
  /** Bytes that everything written so far takes, and (shadowfs) what its file takes. */
  storedBytes(): number;
  allocatedBytes(): number | undefined;
}

/** How shadowfs is to compare: `ratio` to ext4, or an amount. */
export type Target = { ratio: number } | { atMost: (material: Material) => number };

/** What is measured: ms, or bytes on the disk. */
export interface Row {
  name: string;
  title: (material: Material) => string;
  unit: 'ms' | 'bytes';
  target?: Target;
}

export interface Workload {
  name: string;
  rows: readonly Row[];
  /** Untimed, before the file system settles. */
  prepare?(seat: Seat, material: Material): void;
  /** A number for each row that this file system has one for. */
  run(seat: Seat, material: Material): Record<string, number>;
  /** At the end of the stage, after the file system was mounted afresh. Throws. */
  verify?(seat: Seat, material: Material): void;
}

export interface Stage {
  name: string;
  /** The directory below the file systems that have one below; others get a copy. */
  base?: (material: Material) => string;
  /** Makes what the workloads need, or throws `Unavailable`. */
  needs?: (material: Material) => void;
  workloads: readonly Workload[];
}

interface Timed extends Omit<Workload, 'rows' | 'run'> {
  title: string | ((material: Material) => string);
  ratio?: number;
  run(seat: Seat, material: Material): number;
}

export function row(
  name: string,
  title: Timed['title'],
  ratio: number | undefined,
  unit: Row['unit'] = 'ms',
): Row {
  return {
    name,
    title: typeof title === 'string' ? () => title : title,
    unit,
    ...(ratio !== undefined && { target: { ratio } }),
  };
}

/** A workload that gives one time. */
export function timing({ title, ratio, run: work, ...rest }: Timed): Workload {
  const one = row(rest.name, title, ratio);
  return { ...rest, rows: [one], run: (seat, material) => ({ [one.name]: work(seat, material) }) };
}

/** The middle one of three runs, for work that takes a fraction of a second. */
export function middle(work: () => number): number {
  return [work(), work(), work()].sort((a, b) => a - b)[1] ?? 0;
}

export function same(what: string, found: unknown, expected: string): void {
  if (found !== expected) throw new Error(`${what} is not what was written`);
}

/** Unpacks the archive into a new directory: ms. */
export function unpack(archive: string, directory: string): number {
  run('mkdir', [directory]);
  return timed('tar', ['-C', directory, '-xf', archive]);
}
