/**
 * Where a mount is now. A directory above its mountpoint may be renamed while
 * it is mounted: then its path is another one, and its device is the same.
 * Reads /proc only, so that the thread that serves the mount may ask, too.
 */
import {
  type MountEntry,
  MOUNT_TYPE,
  mountAt,
  mountOfDevice,
  readMountTable,
} from './mount-table.js';

export class MountPlace {
  /** `major:minor`; absent until it is mounted. */
  device: string | undefined;

  constructor(
    /** The path at which it was mounted. */
    readonly made: string,
  ) {}

  /** The mount that was just made there. */
  learn(): void {
    const entry = mountAt(readMountTable(), this.made);
    if (entry?.type === MOUNT_TYPE) this.device = entry.device;
  }

  /** Undefined: it is not mounted, or was detached from its users. */
  entry(): MountEntry | undefined {
    if (this.device === undefined) return undefined;
    return mountOfDevice(readMountTable(), this.device, this.made);
  }

  /** The mountpoint as it is called now; a detached mount keeps its last known name. */
  get mountpoint(): string {
    return this.entry()?.mountpoint ?? this.made;
  }
}
