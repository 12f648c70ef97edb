/**
 * What is known about a mount besides the kernel's table: its serving process,
 * the paths of its control files, its volume and its log, and how it ended. One
 * small JSON file per mountpoint in the state directory, replaced as a whole.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { STAT_FIELD, statFields } from '../../libc/process-stat.js';
import type { MountEntry } from './mount-table.js';
import { type StatePaths, recordPath } from './paths.js';

export interface MountRecord {
  pid: number;
  /** Start time of the process in clock ticks: another process may have the pid by now. */
  startTicks: number;
  mountpoint: string;
  controlMount: string;
  volume: string;
  base: string | null;
  log: string | null;
  /** `major:minor` and the kernel's id of the mount: it may be found elsewhere by now, or detached. */
  device?: string;
  mountId?: number;
  startedMs: number;
  /** `serving`, or how it ended: everything stored, or why not. */
  state: 'serving' | 'stored' | 'failed';
  failure?: string;
}

export function writeMountRecord(paths: StatePaths, record: MountRecord): void {
  const path = recordPath(paths, record.mountpoint);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(fresh, path);
}

export function readMountRecord(paths: StatePaths, mountpoint: string): MountRecord | undefined {
  return readRecord(recordPath(paths, mountpoint));
}

/** The record of a mount by its device, wherever it is mounted now. */
export function findMountRecord(paths: StatePaths, mount: MountEntry): MountRecord | undefined {
  const isOf = (record: MountRecord): boolean => record.device === mount.device;
  const named = readMountRecord(paths, mount.mountpoint);
  if (named !== undefined && isOf(named) && isRunning(named)) return named;
  const found = readMountRecords(paths).find((record) => isOf(record) && isRunning(record));
  if (found !== undefined) return found;
  // A process that has ended, or of an earlier version, which did not say its device.
  return named === undefined || (named.device !== undefined && !isOf(named)) ? undefined : named;
}

export function readMountRecords(paths: StatePaths): MountRecord[] {
  const directory = join(paths.stateDirectory, 'mounts');
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => readRecord(join(directory, name)))
    .filter((record) => record !== undefined);
}

function readRecord(path: string): MountRecord | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(path, 'utf8'));
    // This program writes the file as a whole; any other content counts as none.
    const isRecord = typeof record === 'object' && record !== null && 'mountpoint' in record;
    return isRecord ? (record as MountRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** Start time of a process in clock ticks, or undefined when there is none. */
export function startTicksOf(pid: number): number | undefined {
  const fields = statFields(pid);
  // A zombie no longer serves.
  if (fields === undefined || fields[STAT_FIELD.state] === 'Z') return undefined;
  return Number(fields[STAT_FIELD.startTicks]);
}

/** True while exactly the process of the record runs and serves this mount. */
export function isRunning(record: MountRecord): boolean {
  // A process may go on with other mounts of its volume.
  return record.state === 'serving' && startTicksOf(record.pid) === record.startTicks;
}

/** The mounts that a process serves. */
export function recordsOf(pid: number, paths: StatePaths): MountRecord[] {
  return readMountRecords(paths).filter((record) => record.pid === pid && isRunning(record));
}
