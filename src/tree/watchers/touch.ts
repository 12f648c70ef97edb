/**
 * What programs that watch files hear of a restore. The kernel gives events
 * only for calls of programs, so a process of this mount, the *toucher*, makes
 * calls whose answers change nothing: a removed name is removed again, an added
 * name is made again, a changed file gets the times that it has. `Touching`
 * answers them.
 *
 * What must hold: no touch changes the volume; no other program sees anything
 * that is not so.
 *
 * Doors: touch, watched.
 * Doors inside tree/: forsaken, touching, watched-changes.
 */

/** Byte strings; `parentPath` is below the mount's root, '' for the root itself. */
interface TouchedName {
  directory: number;
  parentPath: string;
  /** '': the root itself. */
  name: string;
}

interface Times {
  mtimeS: number;
  mtimeNs: number;
  atimeS: number;
  atimeNs: number;
}

export type Touch =
  /** A regular file has new content. `mayOpen`: nobody would try to execute it meanwhile. */
  | (TouchedName & Times & { kind: 'modified'; mayOpen: boolean })
  /** A file has other attributes. */
  | (TouchedName & Times & { kind: 'attributes' })
  /** `mode`: of the file that is there now. */
  | (TouchedName & { kind: 'added'; mode: number; rdev: number })
  | (TouchedName & {
      kind: 'removed';
      isDirectory: boolean;
      /** A directory that goes in the kernel's eyes, too, so that its own watches end. */
      inode?: number;
    });

/** Names one touched name in maps. */
export function touchKey(directory: number, name: string): string {
  return `${directory}/${name}`;
}
