/**
 * Opens a volume to send from it: read-only, even while another process has it
 * mounted, including its base.
 */
import { readdirSync, statSync } from 'node:fs';
import { CommandError, messageOf } from '../../lib/errors.js';
import { byteStringOfText } from '../../lib/byte-text.js';
import { checkVolumeFiles, isVolume } from '../../store/open.js';
import { StoreReader } from '../../store/reader.js';
import { BaseDirectory } from '../../base/base-directory.js';
import { readMeta } from '../../volume/catalog.js';
import type { StoredBase } from '../../volume/create-volume.js';
import { Volume } from '../../volume/volume.js';
import { isWithin } from '../../lib/paths.js';

export interface SendSource {
  volume: string;
  /** The process that has the volume mounted, and where. */
  mounted?: { pid: number; mountpoint: string; inPlace: boolean };
}

/** Throws CommandError. The caller closes it. */
export function openForSending(place: SendSource): Volume {
  if (!isVolume(place.volume)) {
    throw new CommandError('volume-missing', 'ENOENT', `there is no volume at ${place.volume}`);
  }
  checkVolumeFiles(place.volume);
  const reader = StoreReader.open(place.volume, { readOnly: true });
  const stored = readMeta<StoredBase>(reader, 'base');
  reader.close();
  const base = stored === undefined ? undefined : openBase(place, stored);
  return Volume.open({
    path: place.volume,
    writer: { kind: 'none' },
    reattach: true,
    ...(base !== undefined && { base }),
  });
}

function openBase(
  { mounted }: SendSource,
  stored: StoredBase,
): { path: string; directory: BaseDirectory } {
  const { path } = stored;
  let openPath = path;
  // Its directory may have been renamed, too: the serving process has it open.
  if (mounted?.inPlace === true) openPath = coveredBase(mounted.pid, stored);
  else if (mounted !== undefined && isWithin(mounted.mountpoint, path)) {
    throw new CommandError(
      'base-covered',
      'EBUSY',
      `${mounted.mountpoint} lies inside the base ${path}: unmount it to send`,
    );
  }
  try {
    return { path, directory: BaseDirectory.open(byteStringOfText(openPath)) };
  } catch (error) {
    throw new CommandError(
      'base-unreadable',
      'EACCES',
      `the base ${path} can't be read: ${messageOf(error)}`,
    );
  }
}

/** A mount in place covers its base; its serving process has the base open. */
function coveredBase(pid: number, { path, hostInode }: StoredBase): string {
  const directory = `/proc/${pid}/fd`;
  try {
    for (const fd of readdirSync(directory)) {
      const open = `${directory}/${fd}`;
      try {
        const stat = statSync(open);
        if (stat.isDirectory() && stat.ino === hostInode) return open;
      } catch {
        // Closed meanwhile.
      }
    }
  } catch (error) {
    throw new CommandError(
      'base-unreadable',
      'EACCES',
      `the base ${path} lies under its mount, and only its owner gets at it: ${messageOf(error)}`,
    );
  }
  throw new CommandError('base-unreadable', 'EACCES', `the base ${path} lies under its mount`);
}
