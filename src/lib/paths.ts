/**
 * Paths as text or as byte strings, without `.` and `..`: absolute, with `/` for
 * the root, or below some root, with '' for it. Pure.
 */

/** `path` is `directory`, or lies below it. */
export function isWithin(path: string, directory: string): boolean {
  if (directory === '' || path === directory) return true;
  return path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

/** Of a path below a root: the directory above it; '' for a name in the root, and for the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
