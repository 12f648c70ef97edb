/**
 * What a forced freeze does about files whose bytes the base does not have any
 * more as the records know them: they are given up. Everything that the volume
 * has of such a file stays, and reading the rest is EIO, as it was before (rule
 * A14): wrong bytes or zeros are never read in place of it.
 */
import type { Work } from '../../lib/work.js';
import { BASE_LAYER } from '../../format/records/tables.js';
import type { Inode } from '../inode.js';
import type { Volume } from '../volume.js';

const RECORD_BYTES = 220;

/** `record`: one that refers to it; the base layer's, if there is one, or the oldest. */
export function* giveUp(volume: Volume, record: Inode, pause: () => Work<void>): Work<void> {
  while (!volume.beginChange()) yield* pause();
  const { core } = volume;
  core.withReserve(() => {
    core.baseChanges().inodes.set(record.ino, lostOf(record));
    core.open.note(RECORD_BYTES);
  });
  core.baseEpoch++;
}

function lostOf(record: Inode): Inode {
  const lost = record.clone();
  const { base } = record;
  if (base === undefined) return lost;
  lost.layer = BASE_LAYER;
  lost.birthLayer = BASE_LAYER;
  // It has the names that are stored, like any other directory.
  if (record.isDirectory) lost.base = { ...base, size: 0, isStored: true };
  else if (record.layer === BASE_LAYER) lost.base = { ...base, isLost: true };
  else {
    // As the base had it when the record was made, as far as the record knows.
    lost.base = { ...base, isOther: true, isLost: true };
    lost.clips = [];
    lost.dataLayer = 0;
    lost.step = 1;
    lost.nlink = Math.max(1, record.nlink);
    if (record.isRegular) lost.size = base.size;
    const { mtimeS, mtimeNs, ctimeS, ctimeNs } = base;
    Object.assign(lost, { mtimeS, mtimeNs, ctimeS, ctimeNs });
  }
  return lost;
}
