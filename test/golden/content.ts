/** What a volume shows, in all views, as plain data: for golden volumes. */
import { createHash } from 'node:crypto';
import { ROOT_INODE } from '../../src/format/records/tables.js';
import type { Inode } from '../../src/volume/inode.js';
import { joinPath } from '../../src/volume/names/inode-reader.js';
import type { View } from '../../src/volume/view.js';
import type { Volume } from '../../src/volume/volume.js';

export interface VolumeContent {
  blockSize: number;
  compression: boolean;
  snapshots: { name: string; kind: string; layer: number; createdMs: number }[];
  history: string[];
  /** View ('live' or a snapshot's name) → path → one line that tells everything. */
  views: Record<string, Record<string, string>>;
}

/** `withViews` false: only what can be told without the base. */
export function contentOf(volume: Volume, withViews = true): VolumeContent {
  const views: VolumeContent['views'] = {};
  if (withViews) {
    views['live'] = treeOf(volume, volume.live);
    for (const snapshot of volume.snapshots()) {
      views[snapshot.name] = treeOf(volume, volume.viewOf(snapshot));
    }
  }
  return {
    blockSize: volume.options.blockSize,
    compression: volume.options.compression,
    snapshots: volume
      .snapshots()
      .map(({ name, kind, layer, createdMs }) => ({ name, kind, layer, createdMs })),
    history: volume
      .history()
      .map(({ sequence, timeMs, command, name, layer, newLayer, source, outcome }) =>
        [sequence, timeMs, command, name, layer, newLayer, source, outcome].join(' '),
      ),
    views,
  };
}

function treeOf(volume: Volume, view: View): Record<string, string> {
  const tree: Record<string, string> = {};
  const walk = (directory: Inode, path: string): void => {
    tree[path] = describe(volume, view, directory);
    volume.list(view, directory, 0, (name, ino) => {
      const child = volume.inodeForListing(view, directory, name, ino) as Inode;
      const childPath = joinPath(path, name);
      if (child.isDirectory) walk(child, childPath);
      else tree[childPath] = describe(volume, view, child);
      return true;
    });
  };
  walk(volume.inode(view, ROOT_INODE) as Inode, '');
  return tree;
}

function describe(volume: Volume, view: View, inode: Inode): string {
  const parts = [
    inode.ino,
    inode.mode.toString(8),
    inode.uid,
    inode.gid,
    inode.nlink,
    inode.size,
    `${inode.mtimeS}.${inode.mtimeNs}`,
    inode.rdev,
  ];
  if (inode.target !== undefined) parts.push(`-> ${inode.target}`);
  if (inode.isRegular) {
    const bytes = Buffer.alloc(inode.size);
    volume.read(view, inode, 0, inode.size, bytes, 0);
    parts.push(createHash('sha256').update(bytes).digest('hex').slice(0, 16));
  }
  for (const name of volume.listAttributes(view, inode).sort()) {
    const value = volume.readAttribute(view, inode, name) ?? new Uint8Array();
    parts.push(`${name}=${Buffer.from(value).toString('hex')}`);
  }
  return parts.join(' ');
}
