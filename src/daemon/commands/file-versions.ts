/**
 * The versions of the file at a path, newest first. Follows a file by its
 * inode, through renames. Where an older snapshot lacks that inode, the file of
 * the same name counts, since many programs write a new file and rename it over
 * the old one.
 */
import { ROOT_INODE } from '../../format/records/tables.js';
import type { Inode } from '../../volume/inode.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import { type Version, versionsOf } from '../../volume/snapshots/file-versions.js';
import type { View } from '../../volume/view.js';

/** The views in which one inode was the file in question. */
interface Stretch {
  ino: number;
  snapshots: Set<string>;
  isLive: boolean;
}

/** The inode at a path (a byte string below the root), or undefined. */
export function inodeAt(volume: ReadableVolume, view: View, path: string): Inode | undefined {
  let inode = volume.inode(view, ROOT_INODE);
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (inode === undefined || !inode.isDirectory) return undefined;
    inode = volume.lookup(view, inode, name);
  }
  return inode;
}

/** Which inode was the file, from now backwards. */
function stretchesOf(volume: ReadableVolume, path: string): Stretch[] {
  const stretches: Stretch[] = [];
  let known = path;
  const look = (view: View, snapshot: string | undefined): void => {
    const last = stretches.at(-1);
    const place = last === undefined ? undefined : volume.pathOf(view, last.ino);
    if (place !== undefined) known = place;
    const ino = place === undefined ? inodeAt(volume, view, known)?.ino : last?.ino;
    if (ino === undefined) return;
    let stretch = last;
    if (stretch?.ino !== ino) {
      stretch = { ino, snapshots: new Set(), isLive: false };
      stretches.push(stretch);
    }
    if (snapshot === undefined) stretch.isLive = true;
    else stretch.snapshots.add(snapshot);
  };
  look(volume.live, undefined);
  for (const snapshot of volume.snapshots().reverse()) look(volume.viewOf(snapshot), snapshot.name);
  return stretches;
}

/** Empty when neither the live tree nor a snapshot has the path. Reads the committed state. */
export function fileVersions(volume: ReadableVolume, path: string): Version[] {
  return stretchesOf(volume, path).flatMap(({ ino, snapshots, isLive }) =>
    versionsOf(volume, ino)
      .map((version) => ({
        ...version,
        snapshots: version.snapshots.filter((name) => snapshots.has(name)),
        isLive: version.isLive && isLive,
      }))
      .filter((version) => version.isLive || version.snapshots.length > 0)
      .reverse(),
  );
}
