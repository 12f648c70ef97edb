/**
 * What commands did to the file at a path, oldest first: the saves that stored
 * another state of it than the one before, the restores that brought another
 * one back, the applies that brought it into the base, and what has not been
 * saved yet. Follows the file as `versions` does: by its inode, through renames,
 * otherwise by its name.
 *
 * A state is what one view shows. The history says which views the live tree
 * went through; where a snapshot was deleted, its changes belong to the next
 * one that still shows them.
 */
import { textOfByteString } from '../../lib/byte-text.js';
import { isWithin } from '../../lib/paths.js';
import type { HistoryRecord, Snapshot } from '../../volume/catalog.js';
import { compareInodes, type DiffDetail } from '../../volume/diff/compare.js';
import type { Inode } from '../../volume/inode.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import { isSameVersion } from '../../volume/snapshots/file-versions.js';
import { BASE_LAYER } from '../../format/records/tables.js';
import type { View } from '../../volume/view.js';
import { inodeAt } from './file-versions.js';

export interface LogEntry {
  /** Null: not saved yet. */
  timeMs: number | null;
  /** `save`, `restore` …; null: not saved yet. */
  command: string | null;
  name: string | null;
  source: string | null;
  /**
   * `restored`: by itself; what that changed is saved by the next command. `applied`: what the base
   * had was another state, or nothing.
   */
  change: 'added' | 'removed' | 'changed' | 'renamed' | 'restored' | 'applied';
  path: string;
  oldPath?: string;
  /** Absent: removed. */
  sizeBytes?: number;
  details?: DiffDetail[];
}

/** What a view shows of the file. */
interface Seen {
  view: View;
  inode: Inode;
  path: string;
}

/** A state of the tree in which the file can be looked up, and the command that made it. */
interface State {
  view: View;
  record: Pick<LogEntry, 'timeMs' | 'command' | 'name' | 'source'>;
  /** The command was about these paths only, and changed them after this state. */
  paths?: readonly string[];
  /** The command brought this state into the base, below `paths` or as a whole. */
  isApplied?: true;
}

const NOT_SAVED: State['record'] = { timeMs: null, command: null, name: null, source: null };

/** The states that the live tree went through and that are still there, oldest first. */
function statesOf(volume: ReadableVolume): State[] {
  const states: State[] = [];
  const byName = new Map<string, Snapshot>(volume.snapshots().map((one) => [one.name, one]));
  for (const one of volume.history()) {
    if (!volume.isOwn(one)) continue;
    const { timeMs, command, name = null, source, layer } = one;
    const record = { timeMs, command, name, source };
    const undo = byName.get(String(one.details?.['undo'] ?? ''));
    const isThere = volume.layers.has(layer);
    const { paths } = pathsOf(one);
    if (isApply(one) && isThere) {
      states.push({ view: volume.viewAt(layer), record, isApplied: true, ...pathsOf(one) });
    }
    if (!isMove(one)) continue;
    if (undo !== undefined) {
      const view = volume.viewOf(undo);
      // What was not saved when the tree moved on is in the undo snapshot.
      states.push({ view, record: { ...record, command: null, name: undo.name } });
      if (paths !== undefined) states.push({ view, record, paths });
    }
    if (paths === undefined && isThere) states.push({ view: volume.viewAt(layer), record });
  }
  states.push({ view: volume.live, record: NOT_SAVED });
  return states;
}

/** The command was about these paths only. */
function pathsOf({ details }: HistoryRecord): { paths?: string[] } {
  const paths = details?.['paths'];
  return Array.isArray(paths) ? { paths: paths.map(String) } : {};
}

/** It changed the base. */
function isApply({ command, outcome, details }: HistoryRecord): boolean {
  if (command === 'undo') return details?.['concerns'] === 'base';
  return command === 'apply' && outcome === 'applied';
}

/** The command sealed a layer, or made the live tree another one of the same branch. */
function isMove({ newLayer, command }: HistoryRecord): boolean {
  if (command === 'branch' || command === 'switch') return false;
  return newLayer !== undefined || command === 'save';
}

/** Newest state first, since the path is the file's path now. */
function* seenIn(
  volume: ReadableVolume,
  path: string,
  states: State[],
): Generator<Seen | undefined> {
  let known = path;
  let last: number | undefined;
  for (let i = states.length - 1; i >= 0; i--) {
    const { view } = states[i] as State;
    const place = last === undefined ? undefined : volume.pathOf(view, last);
    const inode =
      place === undefined ? inodeAt(volume, view, known) : volume.inode(view, last as number);
    if (inode !== undefined) {
      known = place ?? known;
      last = inode.ino;
    }
    yield inode && { view, inode, path: known };
  }
}

/** Empty when no state has the file. Reads the committed state. */
export function fileLog(volume: ReadableVolume, path: string): LogEntry[] {
  const states = statesOf(volume);
  const seen = [...seenIn(volume, path, states)].reverse();
  const entries: LogEntry[] = [];
  let before: Seen | undefined;
  /** As it was when it was there last. */
  let last: Seen | undefined;
  /** What the base shows of the file. */
  let base = volume.viewAt(BASE_LAYER);
  states.forEach(({ view, record, paths, isApplied }, i) => {
    const after = seen[i];
    const place = (after ?? (isApplied ? last : seen[i + 1]))?.path;
    const isMeant = paths?.some(
      (above) => place !== undefined && isWithin(textOfByteString(place), above),
    );
    if (isApplied) {
      if (isMeant === false) return;
      const entry = appliedEntry(volume, base, after ?? last, after);
      if (entry !== undefined) entries.push({ ...record, ...entry });
      base = view;
      return;
    }
    if (isMeant === true && place !== undefined) {
      entries.push({ ...record, change: 'restored', path: textOfByteString(place) });
    }
    const entry = entryOf(volume, before, after);
    if (entry !== undefined) entries.push({ ...record, ...entry });
    before = after;
    last = after ?? last;
  });
  return entries;
}

/** `after`: the file as it was applied; undefined: it was removed. `known`: which file that is. */
function appliedEntry(
  volume: ReadableVolume,
  base: View,
  known: Seen | undefined,
  after: Seen | undefined,
): Pick<LogEntry, 'change' | 'path' | 'sizeBytes' | 'details'> | undefined {
  if (known === undefined) return undefined;
  const inode = volume.inode(base, known.inode.ino);
  const path = inode && volume.pathOf(base, inode.ino);
  const had = inode && path !== undefined ? { view: base, inode, path } : undefined;
  const entry = (after ?? had) && entryOf(volume, had, after);
  return entry && { ...entry, change: 'applied' };
}

function entryOf(
  volume: ReadableVolume,
  before: Seen | undefined,
  after: Seen | undefined,
): Pick<LogEntry, 'change' | 'path' | 'oldPath' | 'sizeBytes' | 'details'> | undefined {
  if (after === undefined) {
    return before && { change: 'removed', path: textOfByteString(before.path) };
  }
  const path = textOfByteString(after.path);
  const shown = { path, sizeBytes: after.inode.size };
  if (before === undefined) return { change: 'added', ...shown };
  const isRenamed = before.path !== after.path;
  const isOther = before.inode.ino !== after.inode.ino;
  if (!isOther && !isRenamed && isSameVersion(before.inode, after.inode)) return undefined;
  const details = compareInodes(volume, before.view, before.inode, after.view, after.inode);
  if (isOther && !isRenamed) details.push('replaced');
  if (isRenamed) {
    return { change: 'renamed', oldPath: textOfByteString(before.path), ...shown, details };
  }
  return details.length === 0 ? undefined : { change: 'changed', ...shown, details };
}
