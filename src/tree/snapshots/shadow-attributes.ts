/**
 * The extended attributes (xattrs) of a shadow inode besides its own:
 * `user.shadowfs.snapshot` (name), `user.shadowfs.layer` (number) and
 * `user.shadowfs.runs` (where its blocks are addressed, see shadow-runs.ts).
 */
import { MAX_VALUE_BYTES } from '../../volume/files/xattrs.js';
import { FsError } from '../../lib/errors.js';
import type { Inode } from '../../volume/inode.js';
import type { OpenSnapshot, OpenSnapshots } from './open-snapshots.js';
import { type AddressedRun, addressed, classifyRuns, runsText } from './shadow-runs.js';
import { newestFirst } from './snapshot-list.js';
import type { TreeVolume } from '../tree-volume.js';

const PREFIX = 'user.shadowfs.';

/** Names reserved for shadow inodes: live files can't have them. */
export function isShadowAttribute(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Throws ENODATA for an unknown name. */
export function shadowAttribute(
  volume: TreeVolume,
  snapshots: OpenSnapshots,
  snapshot: OpenSnapshot,
  inode: Inode,
  name: string,
): Uint8Array {
  switch (name.slice(PREFIX.length)) {
    case 'snapshot':
      return Buffer.from(snapshot.record.name);
    case 'layer':
      return Buffer.from(String(snapshot.layer));
    case 'runs':
      if (inode.isRegular) return runsAttribute(volume, snapshots, snapshot, inode);
      break;
  }
  throw new FsError('ENODATA', 'getxattr', name);
}

function runsAttribute(
  volume: TreeVolume,
  snapshots: OpenSnapshots,
  snapshot: OpenSnapshot,
  inode: Inode,
): Uint8Array {
  const { live } = volume;
  const liveInode = volume.inode(live, inode.ino);
  const runs = classifyRuns(
    addressed(volume.runs(snapshot.view, inode)),
    liveInode === undefined ? [] : addressed(volume.runs(live, liveInode)),
    newerRuns(volume, snapshots, snapshot, inode),
  );
  return Buffer.from(runsText(runs, MAX_VALUE_BYTES));
}

/**
 * The more recent snapshots on the path from this one towards the live view or,
 * when a restore has left this path, those made on it; the most recent first.
 * Of several in which the file is the same, only the most recent.
 */
function* newerRuns(
  volume: TreeVolume,
  snapshots: OpenSnapshots,
  snapshot: OpenSnapshot,
  inode: Inode,
): Generator<{ name: string; runs: AddressedRun[] }> {
  const { live } = volume;
  const isOnLivePath = live.includes(snapshot.layer);
  let lastVersion: number | undefined;
  for (const newer of newestFirst(volume.snapshots())) {
    if (newer.layer <= snapshot.layer) return;
    if (isOnLivePath && !live.includes(newer.layer)) continue;
    const view = snapshots.peek(newer);
    if (!view.includes(snapshot.layer)) continue;
    const seen = volume.inode(view, inode.ino);
    if (seen === undefined || seen.layer === lastVersion) continue;
    lastVersion = seen.layer;
    yield { name: newer.name, runs: addressed(volume.runs(view, seen)) };
  }
}
