/**
 * `check`, `diff` and `versions` on the committed state of a volume, in
 * whatever thread: nothing is written, and the volume may be mounted.
 */
import { CommandError } from '../base/errors.js';
import type { Answer } from '../control/command.js';
import { byteStringOfText } from '../format/grammar.js';
import { isVolume } from '../store/open.js';
import { BaseDirectory } from '../volume/base-directory.js';
import { Volume } from '../volume/volume.js';
import type { InspectRequest } from './commands.js';

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
  void request;
  void onProgress;
  return withVolume(place, () => {
    throw new CommandError('not-available', 'EOPNOTSUPP', 'not available yet');
  });
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
  const { base } = place;
  const volume = Volume.open({
    path: place.volume,
    writer: { kind: 'none' },
    reattach: true,
    ...(base !== undefined && {
      base: { path: base.path, directory: BaseDirectory.open(byteStringOfText(base.openPath)) },
    }),
  });
  try {
    return use(volume);
  } finally {
    volume.close();
  }
}
