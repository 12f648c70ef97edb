/**
 * What is known of each `run`: one small JSON file in the state directory, from before its branch is
 * made until its end. A run that is killed leaves it, and the next command reads there what is to be
 * cleaned up.
 *
 * What must hold: whoever makes or removes mounts for a run, or removes its file, holds the lock.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { attempt } from '../../lib/attempt.js';
import { CommandError, ERRNO, messageOf } from '../../lib/errors.js';
import { startTicksOf } from '../../daemon/mount/mount-record.js';
import type { StatePaths } from '../../daemon/mount/paths.js';

const LOCK_WAIT_MS = 60_000;
const POLL_MS = 10;

export interface RunRecord {
  id: string;
  pid: number;
  startTicks: number;
  /** The process namespace in which `pid` means something. */
  pidNamespace: string;
  command: string;
  startedMs: number;
  /** The directory that the command sees the branch at. */
  directory: string;
  volume: string;
  /** Where the whole volume is mounted for runs alone: the directory is under no history. */
  hiddenTree: string | null;
  /** The volume is there for runs alone: it goes when they leave nothing in it. */
  isNewVolume: boolean;
  branch: string;
  /** Where the branch is mounted until the command's namespace has it, or for as long as it runs. */
  mountpoint: string;
  /** The command's mount namespace. */
  namespace: string | null;
  /** The run has said what it did, and that processes are still in the branch. */
  isTold: boolean;
}

function directoryOf({ stateDirectory }: StatePaths): string {
  return join(stateDirectory, 'runs');
}

function pathOf(paths: StatePaths, id: string): string {
  return join(directoryOf(paths), `${id}.json`);
}

/** Costs one look into a directory when there is none. */
export function readRuns(paths: StatePaths): RunRecord[] {
  const names = attempt(() => readdirSync(directoryOf(paths))) ?? [];
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => attempt(() => readFileSync(join(directoryOf(paths), name), 'utf8')))
    .map((text) => attempt(() => JSON.parse(text ?? '') as RunRecord))
    .filter((record) => record !== undefined);
}

export function writeRun(paths: StatePaths, record: RunRecord): void {
  const path = pathOf(paths, record.id);
  try {
    mkdirSync(directoryOf(paths), { recursive: true, mode: 0o700 });
    writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw unusable(path, error);
  }
}

export function removeRun(paths: StatePaths, id: string): void {
  rmSync(pathOf(paths, id), { force: true });
}

function unusable(path: string, error: unknown): CommandError {
  return new CommandError(
    'state-unusable',
    'EACCES',
    `${path} can't be written: ${messageOf(error)}`,
  );
}

export function pidNamespace(): string {
  return attempt(() => readlinkSync('/proc/self/ns/pid')) ?? '';
}

/** The `run` itself has ended. Of another process namespace that can't be said. */
export function hasEnded(record: RunRecord): boolean {
  return record.pidNamespace === pidNamespace() && startTicksOf(record.pid) !== record.startTicks;
}

/** Runs `work` while no other run of this user makes or removes mounts. */
export async function withRunLock<T>(
  paths: StatePaths,
  work: () => Promise<T>,
  waitMs = LOCK_WAIT_MS,
): Promise<T> {
  const { lockFile } = await import('../../libc/libc.js');
  const path = join(directoryOf(paths), '.lock');
  let fd: number;
  try {
    mkdirSync(directoryOf(paths), { recursive: true, mode: 0o700 });
    fd = openSync(path, 'a', 0o600);
  } catch (error) {
    throw unusable(path, error);
  }
  try {
    const deadlineMs = Date.now() + waitMs;
    for (;;) {
      const answer = lockFile(fd);
      if (answer !== -ERRNO.EAGAIN && answer !== -ERRNO.EACCES) break;
      if (Date.now() >= deadlineMs) {
        const message = `${path} is locked by another run that does not go on`;
        throw new CommandError('runs-busy', 'EBUSY', message);
      }
      await sleep(POLL_MS);
    }
    return await work();
  } finally {
    closeSync(fd);
  }
}
