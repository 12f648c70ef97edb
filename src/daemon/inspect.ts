/**
 * `check`, `diff` and `versions` on the committed state of a volume, in
 * whatever thread: nothing is written, and the volume may be mounted.
 */
import { CommandError } from '../base/errors.js';
import type { Answer } from '../control/command.js';
import { byteStringOfText } from '../format/grammar.js';
import { checkVolumeFiles, isVolume } from '../store/open.js';
import { StoreReader } from '../store/reader.js';
import { BaseDirectory } from '../volume/base-directory.js';
import { readMeta } from '../volume/catalog.js';
import { checkVolumeAt, type Finding } from '../volume/check.js';
import { Volume } from '../volume/volume.js';
import type { InspectRequest } from './commands.js';

export type { Finding };

export interface DiffChange {
  kind: 'added' | 'removed' | 'changed' | 'renamed';
  path: string;
  oldPath?: string;
}

export interface FileVersion {
  /** Absent: the live tree. */
  snapshot?: string;
  path: string;
  size: number;
  mtimeMs: number;
}

export interface InspectPlace {
  volume: string;
  /** Where the base can be read, which is not its path when a mount covers it. */
  base?: { path: string; openPath: string };
}

export type OnProgress = (done: number, total: number) => void;

/** Throws CommandError. */
export function inspectVolume(
  place: InspectPlace,
  request: InspectRequest,
  onProgress: OnProgress,
): Answer {
  switch (request.command) {
    case 'check':
      return checkAnswer(place, onProgress);
    case 'diff':
    case 'versions':
      return withVolume(place, () => {
        throw new CommandError('not-available', 'EOPNOTSUPP', 'not available yet');
      });
  }
}

function checkAnswer(place: InspectPlace, onProgress: OnProgress): Answer {
  const base = openBase(place);
  try {
    const report = checkVolumeAt(
      { path: place.volume, ...(base !== undefined && { base }) },
      { onProgress },
    );
    const damage = report.findings.filter(({ kind }) => kind === 'damage').length;
    return { ...report, damage };
  } finally {
    base?.directory.close();
  }
}

/** The base of the place; of a volume that is not mounted the one it remembers, if it can be read. */
function openBase(place: InspectPlace): { path: string; directory: BaseDirectory } | undefined {
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
    // What is wrong with the volume is found by whoever opens it; without the base less is known.
    return undefined;
  }
}

export interface VolumeState {
  status: Answer;
  snapshots: Answer[];
  history: Answer[];
}

/** What the state files of a mount show, for a volume that is not mounted. */
export function readVolumeState(path: string): VolumeState {
  return withVolume({ volume: path }, (volume) => ({
    status: { ...volume.status(), latest: volume.latest()?.name ?? null, options: volume.options },
    snapshots: volume.snapshots().map((snapshot) => ({ ...snapshot })),
    history: volume.history().map((record) => ({ ...record })),
  }));
}

function withVolume<T>(place: InspectPlace, use: (volume: Volume) => T): T {
  if (!isVolume(place.volume)) {
    throw new CommandError('volume-missing', 'ENOENT', `there is no volume at ${place.volume}`);
  }
  checkVolumeFiles(place.volume);
  const base = openBase(place);
  const volume = Volume.open({
    path: place.volume,
    writer: { kind: 'none' },
    reattach: true,
    ...(base !== undefined && { base }),
  });
  try {
    return use(volume);
  } finally {
    volume.close();
  }
}
