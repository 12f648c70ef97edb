/**
 * The versions of one file through all snapshots and the live tree, followed by
 * its inode, so through every rename. One lookup per snapshot; consecutive
 * equal states are one version.
 */
import type { Snapshot } from '../catalog.js';
import type { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import type { View } from '../view.js';

export interface Version {
  /** Names of the snapshots that show it, oldest first; may be empty for the live tree. */
  snapshots: string[];
  /** The live tree shows it too. */
  isLive: boolean;
  /** Its path then, below the root, a byte string; of several names the first. */
  path: string;
  size: number;
  mode: number;
  mtimeS: number;
  mtimeNs: number;
  /** The layer that wrote this version; 0 for an untouched base file. */
  layer: number;
}

/**
 * Oldest first: snapshots in the order of their layers, then the live tree. A
 * snapshot without the file separates versions. Versions are equal when path,
 * content and attributes are equal, as far as the inode alone shows it: a file
 * rewritten with the same bytes is a new version.
 */
export function versionsOf(volume: ReadableVolume, ino: number): Version[] {
  const shown: { view: View; snapshot: Snapshot | undefined }[] = volume
    .snapshots()
    .map((snapshot) => ({ view: volume.viewOf(snapshot), snapshot }));
  shown.push({ view: volume.live, snapshot: undefined });
  knowBase(
    volume,
    ino,
    shown.map(({ view }) => view),
  );
  const versions: Version[] = [];
  let last: Inode | undefined;
  for (const { view, snapshot } of shown) {
    const inode = volume.inode(view, ino);
    const path = inode === undefined ? undefined : volume.pathOf(view, ino);
    if (inode === undefined || path === undefined) {
      last = undefined;
      continue;
    }
    let version = versions.at(-1);
    if (version === undefined || !isSameVersion(last, inode) || version.path !== path) {
      version = newVersion(inode, path);
      versions.push(version);
    }
    if (snapshot === undefined) version.isLive = true;
    else version.snapshots.push(snapshot.name);
    last = inode;
  }
  return versions;
}

function newVersion(inode: Inode, path: string): Version {
  const { size, mode, mtimeS, mtimeNs, layer } = inode;
  return { snapshots: [], isLive: false, path, size, mode, mtimeS, mtimeNs, layer };
}

/** An untouched base file is found by number only once a record gives its path. */
function knowBase(volume: ReadableVolume, ino: number, views: readonly View[]): void {
  if (volume.core.base === undefined) return;
  for (const view of views) {
    const base = volume.inode(view, ino)?.base;
    if (base === undefined) continue;
    volume.inodes.rememberBase(ino, base.path);
    return;
  }
}

/** As far as the inode alone shows it. */
export function isSameVersion(a: Inode | undefined, b: Inode): boolean {
  if (a === undefined) return false;
  if (a.layer === b.layer && a.layer !== 0) return true;
  return (
    a.size === b.size &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.mtimeS === b.mtimeS &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeS === b.ctimeS &&
    a.ctimeNs === b.ctimeNs &&
    a.dataLayer === b.dataLayer
  );
}
