/**
 * Steps 4 and 5 of an apply, from its journal alone: at once, or after it was
 * cut off.
 */
import { fsyncSync } from 'node:fs';
import { Deferred } from '../../lib/deferred.js';
import { CommandError, FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { answerOf, type Work, workNow } from '../../lib/work.js';
import { ROOT_INODE } from '../../format/records/tables.js';
import type { FileTimes } from '../../libc/files.js';
import type { BaseStat } from '../../base/base-stat.js';
import { BaseWriter, isDirectoryStat } from '../../base/writing/base-writer.js';
import type { Volume } from '../volume.js';
import { BaseLayer } from './base-layer.js';
import type { JournalHead, Step } from './journal.js';
import {
  type FlushFile,
  journalState,
  type OpenJournal,
  openJournal,
  removeJournal,
} from './journal-file.js';
import { requireBase } from './planning.js';
import { removeTree } from './staging.js';
import { doStep } from './steps.js';

/** What an apply needs of the thread that runs it. */
export interface StepHost {
  /** Settles after a little while. */
  pause(): Deferred<void>;
  /** Writes out everything of the file system that the descriptor is on. */
  flush(fd: number): Deferred<void>;
  flushFile: FlushFile;
  /** The volume's directory. */
  volumePath: string;
  onProgress(done: number, total: number): void;
}

export function timesOf(writer: BaseWriter): FileTimes {
  const root = writer.lstat('');
  if (root === undefined) throw new FsError('ENOENT', 'stat', 'the base');
  const { atimeS, atimeNs, mtimeS, mtimeNs } = root;
  return { atimeS, atimeNs, mtimeS, mtimeNs };
}

/** The staging directory came and went. */
export function resetTimes(writer: BaseWriter, times: FileTimes): void {
  const root = writer.lstat('');
  if (root !== undefined) writer.setAttributes('', { ...root, times });
}

/** Room for the next change of records. */
export function* mayChange(volume: Volume, host: Pick<StepHost, 'pause'>): Work<void> {
  while (!volume.beginChange()) yield host.pause();
}

/** Steps 4 and 5, from the journal alone: also after a crash. `total`: the number of its steps. */
export function* carryOut(
  volume: Volume,
  writer: BaseWriter,
  journal: OpenJournal,
  total: number,
  host: StepHost,
  layer: BaseLayer,
  isAgain = false,
): Work<string | undefined> {
  const head = journal.head as JournalHead;
  const { staging } = head;
  /** What the root gets at the end. */
  let root: Step | undefined;
  let done = 0;
  for (const step of journal.steps() as Generator<Step>) {
    // Directories that are held open are no longer what their paths lead to.
    if (doStep(writer, step, isAgain)) volume.base?.forgetPaths();
    layer.finish(step.finals ?? [], step.relocation);
    if (step.do === 'move') noteDisplaced(volume, writer, layer, step.trash);
    failpoint('apply:step');
    host.onProgress(++done, total);
    if (step.do === 'attributes' && step.path === '') root = step;
    if (step.relocation?.goesOn === true) continue;
    yield undefined;
    yield* mayChange(volume, host);
  }
  if (writer.lstat(staging) !== undefined) {
    yield* removeTree(writer, staging, (stat) => noteOther(volume, layer, stat));
    // That was a change of the root, too.
    if (root !== undefined) doStep(writer, root, true);
    layer.finish([{ ino: ROOT_INODE, path: '' }], undefined);
  }
  volume.base?.forgetPaths();
  volume.core.baseEpoch++;
  failpoint('apply:switched');
  yield host.flush(writer.rootFd);
  const { applied, undoing, paths = [] } = head;
  const undo = volume.applied.record(applied, {
    layer: head.layer,
    ...head.history,
    paths,
    ...(undoing !== undefined && { undoing }),
  });
  yield* answerOf(volume.whenCommitted(volume.commit()));
  failpoint('apply:recorded');
  yield* removeJournal(host.volumePath, host.flushFile);
  return undo;
}

/** A file that lost a name to another one: views that read it from the base find it here. */
function noteDisplaced(volume: Volume, writer: BaseWriter, layer: BaseLayer, trash: string): void {
  const stat = writer.lstat(trash);
  if (stat !== undefined && !isDirectoryStat(stat)) noteOther(volume, layer, stat, trash);
}

/** One name of a file went: if views read it from the base, its ctime is another one now. */
function noteOther(volume: Volume, layer: BaseLayer, stat: BaseStat, path?: string): void {
  const ino = volume.inodes.baseIds.numberOf(stat);
  const base = volume.inodes.baseRecord(ino)?.base;
  if (base === undefined || base.isStored === true) return;
  layer.finish([{ ino, path: path ?? base.path }], undefined);
}

/** Throws `apply-interrupted` where an apply was cut off and only a mount can complete it. */
export function refuseCutOff(volumePath: string): void {
  if (journalState(volumePath) !== 'switching') return;
  throw new CommandError(
    'apply-interrupted',
    'EBUSY',
    `an apply to the base of ${volumePath} was cut off: mounting it (not read-only) completes it`,
  );
}

/** What became of an apply that was cut off. */
export type Recovered = 'completed' | 'undone';

/**
 * Completes or undoes an apply that was cut off; undefined: there is none. Call it before anybody
 * reads from the volume.
 */
export function* recoverApply(volume: Volume, host: StepHost): Work<Recovered | undefined> {
  const journal = openJournal(host.volumePath);
  if (journal === undefined) return undefined;
  try {
    const total = yield* journal.verify();
    return yield* recover(volume, host, journal, total);
  } finally {
    journal.close();
  }
}

function* recover(
  volume: Volume,
  host: StepHost,
  journal: OpenJournal,
  total: number,
): Work<Recovered> {
  const { state, layer: applied, staging, times } = journal.head as JournalHead;
  const writer = new BaseWriter(requireBase(volume).rootFd);
  // Nothing that is stored names it before the apply is recorded.
  volume.pin(applied);
  try {
    if (state === 'switching') {
      const layer = new BaseLayer(volume, () => host.pause());
      yield* carryOut(volume, writer, journal, total, host, layer, true);
      return 'completed';
    }
    if (writer.lstat(staging) !== undefined) yield* removeTree(writer, staging);
    resetTimes(writer, times);
    yield* removeJournal(host.volumePath, host.flushFile);
    return 'undone';
  } finally {
    volume.unpin(applied);
    writer.close();
  }
}

/** `recoverApply` in this call, for a thread that serves nobody yet. */
export function recoverApplyNow(volume: Volume, volumePath: string): Recovered | undefined {
  const settled = (): Deferred<void> => {
    const done = new Deferred<void>();
    done.resolve();
    return done;
  };
  const writer = volume.base === undefined ? undefined : new BaseWriter(volume.base.rootFd);
  try {
    const host: StepHost = {
      // Nobody settles it: `workNow` stores what there is, and goes on.
      pause: () => new Deferred<void>(),
      flush: () => {
        writer?.flush();
        return settled();
      },
      flushFile: (fd) => {
        fsyncSync(fd);
        return settled();
      },
      volumePath,
      onProgress: () => undefined,
    };
    return workNow(recoverApply(volume, host), () => volume.flush());
  } finally {
    writer?.close();
  }
}
