/**
 * Files that survive a power cut. A file that is replaced is the old one or the
 * new one at any moment, whole; a name that was made, changed or removed counts
 * when its directory has been flushed.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** What is left here by a process that was cut off is in nobody's way. */
export function temporaryPath(path: string): string {
  return `${path}.new`;
}

/**
 * Replaces a file, or makes it; durable when it returns. When it throws, the old file is there and
 * nothing is left beside it. Only one process at a time may replace the same file. `flushed` is
 * called when the new content is on disk, before its name is.
 */
export function replaceFile(
  path: string,
  data: string | Uint8Array,
  mode: number,
  flushed: () => void = () => undefined,
): void {
  const fresh = temporaryPath(path);
  rmSync(fresh, { force: true });
  try {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const fd = openSync(fresh, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    try {
      writeFileSync(fd, data);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    flushed();
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
  flushDirectory(dirname(path));
}

export function flushDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
