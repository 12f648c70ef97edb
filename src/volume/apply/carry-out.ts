/**
 * Steps 4 and 5 of an apply, from its journal alone: at once, or after it was
 * cut off.
 */
import { Deferred } from '../../lib/deferred.js';
import { CommandError, FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { answerOf, type Work, workNow } from '../../lib/work.js';
import { ROOT_INODE } from '../../format/records/tables.js';
import type { FileTimes } from '../../libc/files.js';
import { BaseWriter } from '../../base/writing/base-writer.js';
import type { Volume } from '../volume.js';
import { BaseLayer } from './base-layer.js';
import { type Journal, readJournal, removeJournal } from './journal.js';
import { requireBase } from './planning.js';
import { removeTree } from './staging.js';
import { doStep } from './steps.js';

/** What an apply needs of the thread that runs it. */
export interface StepHost {
  /** Settles after a little while. */
  pause(): Deferred<void>;
  /** Writes out everything of the file system that the descriptor is on. */
  flush(fd: number): Deferred<void>;
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

/** Steps 4 and 5, from the journal alone: also after a crash. */
export function* carryOut(
  volume: Volume,
  writer: BaseWriter,
  journal: Journal,
  host: StepHost,
  layer: BaseLayer,
  isAgain = false,
): Work<string | undefined> {
  const { steps, staging } = journal;
  for (const [i, step] of steps.entries()) {
    // Directories that are held open are no longer what their paths lead to.
    if (doStep(writer, step, isAgain)) volume.base?.forgetPaths();
    layer.finish(step.finals ?? [], step.relocation);
    failpoint('apply:step');
    host.onProgress(i + 1, steps.length);
    yield undefined;
  }
  if (writer.lstat(staging) !== undefined) {
    const finals = steps.at(-1)?.finals ?? [];
    const byHost = new Map(
      finals.map((final) => [writer.lstat(final.path ?? '')?.hostInode, final]),
    );
    yield* removeTree(writer, staging, ({ hostInode }) => {
      const other = byHost.get(hostInode);
      if (other !== undefined) layer.finish([other], undefined);
    });
    // That was a change of the root, too.
    const root = steps.findLast((step) => step.do === 'attributes' && step.path === '');
    if (root !== undefined) doStep(writer, root, true);
    layer.finish([{ ino: ROOT_INODE, path: '' }], undefined);
  }
  volume.base?.forgetPaths();
  volume.core.baseEpoch++;
  failpoint('apply:switched');
  yield host.flush(writer.rootFd);
  const { applied, undoing, paths = [] } = journal;
  const undo = volume.applied.record(applied, {
    layer: journal.layer,
    ...journal.history,
    paths,
    ...(undoing !== undefined && { undoing }),
  });
  yield* answerOf(volume.whenCommitted(volume.commit()));
  failpoint('apply:recorded');
  removeJournal(host.volumePath);
  return undo;
}

/** Throws `apply-interrupted` where an apply was cut off and only a mount can complete it. */
export function refuseCutOff(volumePath: string): void {
  if (readJournal(volumePath)?.state !== 'switching') return;
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
  const journal = readJournal(host.volumePath);
  if (journal === undefined) return undefined;
  const writer = new BaseWriter(requireBase(volume).rootFd);
  // Nothing that is stored names it before the apply is recorded.
  volume.pin(journal.layer);
  try {
    if (journal.state === 'switching') {
      const layer = new BaseLayer(volume, () => host.pause());
      yield* carryOut(volume, writer, journal, host, layer, true);
      return 'completed';
    }
    if (writer.lstat(journal.staging) !== undefined) yield* removeTree(writer, journal.staging);
    resetTimes(writer, journal.times);
    removeJournal(host.volumePath);
    return 'undone';
  } finally {
    volume.unpin(journal.layer);
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
    const host = {
      pause: settled,
      flush: () => {
        writer?.flush();
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
