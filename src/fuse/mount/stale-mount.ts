/**
 * The mounts that killed servers leave behind: every access fails with
 * ENOTCONN until they are unmounted. Never called in the serving thread:
 * looking at a mount may need an answer of that very thread.
 */
import { statfsSync } from 'node:fs';
import { unmount } from './kernel-mount.js';

/**
 * True when the process that served the mount at `path` is gone. statfs asks
 * the server each time, while stat may be answered from the kernel's cache.
 */
export function isStaleMount(path: string): boolean {
  try {
    statfsSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTCONN';
  }
}

/** Takes stale mounts at `path` away. Returns whether there was one. Throws as `unmount` does. */
export function cleanStaleMount(path: string): boolean {
  if (!isStaleMount(path)) return false;
  // Several servers may have been killed one after the other.
  while (isStaleMount(path)) unmount(path, { lazy: true });
  return true;
}
