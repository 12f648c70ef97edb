/**
 * For work that no request waits for: a file that can't be read now (a base
 * directory without permission, a disk that fails, a damaged record) must stop
 * neither the work nor the mount. Whoever asks for the file gets its error.
 */
import { FsError } from '../lib/errors.js';

/** Undefined, too, when the file can't be read. */
export function ifReadable<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    return undefined;
  }
}
