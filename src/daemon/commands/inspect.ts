/**
 * `check`, `diff`, `log`, `space` and `versions` on the committed state of a volume, in any
 * thread: they write nothing, and the volume may be mounted.
 */
import { CommandError } from '../../lib/errors.js';
import type { Answer, CommandArguments } from '../../control/command.js';
import { byteStringOfText, shownName, textOfByteString } from '../../lib/byte-text.js';
import { LATEST_NAME, shorten } from '../../format/text/grammar.js';
import { checkVolumeFiles, isVolume } from '../../store/open.js';
import { StoreReader } from '../../store/reader.js';
import { BaseDirectory } from '../../base/base-directory.js';
import { hasBase, readMeta, type Snapshot } from '../../volume/catalog.js';
import { checkVolumeAt, type Finding } from '../../check/check.js';
import { type DiffLine, diffSummary, diffViews } from '../../volume/diff/diff.js';
import type { View } from '../../volume/view.js';
import { Volume } from '../../volume/volume.js';
import { workNow } from '../../lib/work.js';
import { previewApply } from '../../volume/apply/apply.js';
import { shownSurvey } from '../../volume/freeze/refusals.js';
import { surveyBase } from '../../volume/freeze/survey.js';
import { refuseCutOff } from '../../volume/apply/carry-out.js';
import { baseUndoOf, itemsAnswer, pathsOf, rightsHere } from './applying.js';
import type { InspectRequest } from './command-parts.js';
import { fileLog, type LogEntry } from './file-log.js';
import { fileVersions, inodeAt } from './file-versions.js';
import { DiffCopies } from './diff-copies.js';
import { fillLevels, fillProblems, NOT_FULL } from './filling.js';
import { spaceAnswer } from './space-answer.js';
import { problemsOf } from './problems.js';
import { Merging } from '../../volume/merge/merge.js';
import { shownMerge } from './merging.js';
import { shownBranches } from '../../volume/branches/shown-branches.js';
import { shownOptions } from '../../volume/options.js';
import { sinceSnapshot } from '../../volume/snapshots/since-snapshot.js';
import { storedSyncState } from '../peers/read-sync-state.js';
import { storedPeers } from '../peers/peer-rules.js';

export type { Finding };

export type { LogEntry };

/** A change as the volume reports it, with paths as text for people. */
export type DiffChange = DiffLine;

export interface FileVersion {
  /** The snapshots that show this version, oldest first. */
  snapshots: string[];
  /** The live tree shows it now. */
  isLive: boolean;
  path: string;
  sizeBytes: number;
  mtimeMs: number;
}

export interface InspectTarget {
  volume: string;
  /** `openPath`: where the base can be read; a mount may cover `path`. */
  base?: { path: string; openPath: string };
}

/** Number of items in an answer, which is held in memory, unless the caller sets another limit. */
const DEFAULT_LIMIT = 100_000;

export type OnProgress = (done: number, total: number) => void;

/** Throws CommandError. */
export function inspectVolume(
  place: InspectTarget,
  request: InspectRequest,
  onProgress: OnProgress,
): Answer {
  const { command, args } = request;
  if (command === 'check') return checkAnswer(place, onProgress);
  return withVolume(place, request.branch, (volume) => {
    switch (command) {
      case 'apply':
        return previewAnswer(volume, args);
      case 'freeze':
        return freezePreview(volume);
      case 'diff':
        return diffAnswer(volume, args);
      case 'merge':
        return mergePreview(volume, args);
      case 'log':
        return logAnswer(volume, args);
      case 'space':
        return spaceAnswer(volume, args, onProgress);
      case 'undo':
        return undoPreview(volume, args);
      case 'versions':
        return versionsAnswer(volume, args);
    }
  });
}

/** What `apply` would do, and what stands in its way. */
function previewAnswer(volume: Volume, args: CommandArguments): Answer {
  const { live } = args.branch === undefined ? volume : volume.at(args.branch);
  const { items, conflicts, refusals } = workNow(
    previewApply(volume, live, pathsOf(args), rightsHere(), args.resolve === 'theirs'),
  );
  return { ...itemsAnswer(items, args.limit ?? Number.POSITIVE_INFINITY), conflicts, refusals };
}

/** What `merge` would do, and its conflicts. */
function mergePreview(volume: Volume, { name = '', limit }: CommandArguments): Answer {
  const planned = workNow(new Merging(volume.branchCommands).plan({ branch: name }));
  return shownMerge(planned, limit);
}

/** What `undo` of an apply would do to the base, and what stands in its way. */
function undoPreview(volume: Volume, args: CommandArguments): Answer {
  const { told, states } = baseUndoOf(volume, args);
  const rights = rightsHere();
  const parts = states.map(({ paths, target }) =>
    workNow(previewApply(volume, volume.viewOf(target), paths, rights, false)),
  );
  return {
    ...told,
    dryRun: true,
    ...itemsAnswer(parts.flatMap(({ items }) => items)),
    conflicts: parts.flatMap(({ conflicts }) => conflicts),
    refusals: parts.flatMap(({ refusals }) => refusals),
  };
}

/** What `freeze` would copy, and what it can't. */
function freezePreview(volume: Volume): Answer {
  if (volume.frozen.sinceMs !== null) {
    throw new CommandError('already-frozen', 'EINVAL', 'the volume is frozen: it has no base');
  }
  return {
    ...shownSurvey(workNow(surveyBase(volume, rightsHere()))),
    freeBytes: volume.space().freeBytes,
  };
}

/**
 * The differences between a snapshot and another one, or the live tree; or what a branch has done
 * since its fork.
 */
function diffAnswer(volume: Volume, args: CommandArguments): Answer {
  const { name, to, branch, copies, limit = DEFAULT_LIMIT, paths, fold = false } = args;
  const { from, target, names } = diffSides(volume, args);
  const into = copies === undefined ? undefined : new DiffCopies(volume, from, target, copies);
  const changes: DiffChange[] = [];
  let truncated = false;
  const wanted = paths?.map(byteStringOfText);
  for (const path of wanted ?? []) {
    if (inodeAt(volume, from, path) ?? inodeAt(volume, target, path)) continue;
    throw noSuchFile(`neither ${names} has ${shownName(textOfByteString(path))}`);
  }
  for (const line of diffViews(volume, from, target, { fold, ...(wanted && { paths: wanted }) })) {
    if (changes.length >= limit) {
      truncated = true;
      break;
    }
    into?.add(line);
    const { oldPath, linkedTo, ...rest } = line;
    changes.push({
      ...rest,
      path: textOfByteString(line.path),
      ...(oldPath !== undefined && { oldPath: textOfByteString(oldPath) }),
      ...(linkedTo !== undefined && { linkedTo: textOfByteString(linkedTo) }),
    });
  }
  return {
    from: name ?? null,
    to: to ?? null,
    ...(branch !== undefined && { branch }),
    changes,
    summary: diffSummary(changes),
    truncated,
  };
}

/** The two views, and what they are called where neither has a file. */
function diffSides(
  volume: Volume,
  { name, to, branch }: CommandArguments,
): { from: View; target: View; names: string } {
  if (branch !== undefined) {
    const { fork, top } = branchLayers(volume, branch);
    return {
      from: volume.viewAt(fork),
      target: volume.viewAt(top),
      names: `the branch ${branch} nor what it is forked from`,
    };
  }
  return {
    from: volume.viewOf(snapshotOf(volume, name)),
    target: to === undefined ? volume.live : volume.viewOf(snapshotOf(volume, to)),
    names: `${name} nor ${to ?? 'the tree'}`,
  };
}

/** The layer that a branch shares with what it is forked from, and the one that it writes. */
function branchLayers(volume: Volume, name: string): { fork: number; top: number } {
  volume.branches.require(name);
  const record = volume.catalog.branches.get(name);
  if (record === undefined) {
    throw new CommandError('bad-command-line', 'EINVAL', `${name} is forked from nothing`);
  }
  return { fork: record.fork, top: volume.branches.openLayer(name).number };
}

function noSuchFile(message: string): CommandError {
  return new CommandError('no-such-file', 'ENOENT', message);
}

function snapshotOf(volume: Volume, name = ''): Snapshot {
  const latest = name === LATEST_NAME ? volume.latest() : undefined;
  return latest ?? volume.requireSnapshot(name);
}

function versionsAnswer(
  volume: Volume,
  { name = '', limit = DEFAULT_LIMIT }: CommandArguments,
): Answer {
  const versions = fileVersions(volume, byteStringOfText(name));
  if (versions.length === 0) {
    throw noSuchFile(`neither the tree nor a snapshot has ${shownName(shorten(name, 300))}`);
  }
  return {
    path: name,
    versions: versions.slice(0, limit).map(
      ({ snapshots, isLive, path, size, mtimeS, mtimeNs }): FileVersion => ({
        snapshots,
        isLive,
        path: textOfByteString(path),
        sizeBytes: size,
        mtimeMs: mtimeS * 1000 + Math.floor(mtimeNs / 1e6),
      }),
    ),
    truncated: versions.length > limit,
  };
}

/** The newest `limit` entries, newest last. */
function logAnswer(volume: Volume, { name = '', limit = DEFAULT_LIMIT }: CommandArguments): Answer {
  const entries = fileLog(volume, byteStringOfText(name));
  if (entries.length > 0) {
    return { path: name, entries: entries.slice(-limit), truncated: entries.length > limit };
  }
  throw noSuchFile(`neither the tree nor a snapshot has ${shownName(shorten(name, 300))}`);
}

function checkAnswer(place: InspectTarget, onProgress: OnProgress): Answer {
  const base = openBase(place);
  try {
    const report = checkVolumeAt(
      { path: place.volume, ...(base !== undefined && { base }) },
      { onProgress },
    );
    const damageCount = report.findings.filter(({ kind }) => kind === 'damage').length;
    const { findings, count, counted } = report;
    return { findings, findingCount: count, damageCount, counted };
  } finally {
    base?.directory.close();
  }
}

/** The given base; for an unmounted volume, the base that it remembers, if that can be read. */
function openBase(place: InspectTarget): { path: string; directory: BaseDirectory } | undefined {
  const { base } = place;
  if (base !== undefined) {
    return { path: base.path, directory: BaseDirectory.open(byteStringOfText(base.openPath)) };
  }
  try {
    const reader = StoreReader.open(place.volume, { readOnly: true });
    const stored = readMeta<{ path: string }>(reader, 'base');
    reader.close();
    if (stored === undefined) return undefined;
    return { path: stored.path, directory: BaseDirectory.open(byteStringOfText(stored.path)) };
  } catch {
    // The caller that opens the volume finds what is wrong with it; without the base the answer
    // knows less.
    return undefined;
  }
}

export interface VolumeState {
  status: Answer;
  snapshots: Answer[];
  branches: Answer[];
  history: Answer[];
  locks: Answer[];
  peers: Answer[];
}

/** What the state files of a mount show, for an unmounted volume. */
export function readVolumeState(path: string): VolumeState {
  return withVolume({ volume: path }, undefined, (volume) => stateOf(volume, Date.now()));
}

function stateOf(volume: Volume, nowMs: number): VolumeState {
  const lag = storedSyncState(volume, nowMs);
  const space = volume.space();
  return {
    status: {
      ...volume.status(),
      latest: volume.latest()?.name ?? null,
      ...sinceSnapshot(volume),
      options: shownOptions(volume.options),
      optionsAtNextMount: null,
      schedule: shownSchedule(volume),
      lag,
      problems: problemsOf({
        volume,
        space: fillProblems(space, fillLevels(space, NOT_FULL)),
        lastRun: null,
        isScheduleUnknown: false,
        sync: lag.problems,
      }),
      undoSteps: volume.undoSteps(),
    },
    snapshots: volume.shownSnapshots().map((snapshot) => ({ ...snapshot })),
    locks: volume.shownLocks().map((lock) => ({ ...lock })),
    branches: shownBranches(volume).map(({ isMounted: _nowhere, ...branch }) => ({
      ...branch,
      mountpoint: null,
    })),
    history: volume.history().map((record) => ({ ...record })),
    peers: storedPeers(volume, nowMs),
  };
}

/** A branch of an unmounted volume has changes that the base does not have; null: there is no base. */
export function hasChanges(path: string): boolean | null {
  return withVolume({ volume: path }, undefined, (volume) => {
    if (!hasBase(volume.store)) return null;
    return volume.branches.names().some((name) => volume.at(name).applied.isBehind);
  });
}

function shownSchedule({ schedules }: Volume): Answer | null {
  return schedules.text === undefined ? null : { text: schedules.text };
}

/** Opens the volume at a branch; undefined: at the one that a mount would show. */
function withVolume<T>(
  place: InspectTarget,
  branch: string | undefined,
  use: (volume: Volume) => T,
): T {
  if (!isVolume(place.volume)) {
    throw new CommandError('volume-missing', 'ENOENT', `there is no volume at ${place.volume}`);
  }
  checkVolumeFiles(place.volume);
  if (place.base === undefined) refuseCutOff(place.volume);
  const base = openBase(place);
  const volume = Volume.open({
    path: place.volume,
    writer: { kind: 'none' },
    reattach: true,
    ...(base !== undefined && { base }),
  });
  try {
    return use(volume.at(branch ?? volume.catalog.shownBranch));
  } finally {
    volume.close();
  }
}
