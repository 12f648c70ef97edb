/**
 * The names that exist without being listed: `.snapshots` in every live
 * directory and `.control` in the root. They hide equal real names, in the live
 * tree and inside snapshots alike (so that the two compare equal), but only the
 * live tree answers them.
 */
import { FsError } from '../../lib/errors.js';

export const ROOT_INO = 1;

export class HiddenNames {
  /** `control` undefined: this mount has no control link, and the name is an ordinary one. */
  constructor(
    readonly snapshots: string,
    readonly control: string | undefined,
  ) {}

  isHidden(directory: number, name: string): boolean {
    return name === this.snapshots || (directory === ROOT_INO && name === this.control);
  }

  /** Throws if nothing may be made under this name. */
  refuseCreate(directory: number, name: string, syscall: string): void {
    if (this.isHidden(directory, name)) throw new FsError('EEXIST', syscall, name);
  }

  /** Throws if this name may not be removed, moved or replaced. */
  refuseRemove(directory: number, name: string, syscall: string): void {
    if (this.isHidden(directory, name)) throw new FsError('EPERM', syscall, name);
  }
}
