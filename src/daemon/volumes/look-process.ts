/**
 * Entry of a process that looks at volumes for another one, since it may have to
 * wait for ever. It ends with the channel to that one.
 */
import { messageOf } from '../../lib/errors.js';
import type { MountRecord } from '../mount/mount-record.js';
import { readMountTable } from '../mount/mount-table.js';
import { type ListedVolume, lookAt, unseen } from './look-at-volume.js';
import type { VolumeEntry } from './registry.js';

export interface LookRequest {
  entry: VolumeEntry;
  /** Of mounts that are served. */
  records: readonly MountRecord[];
}

function look({ entry, records }: LookRequest): ListedVolume {
  const table = readMountTable();
  try {
    return lookAt(entry, table, records);
  } catch (error) {
    return unseen(entry, messageOf(error), table, records);
  }
}

process.on('message', (request: LookRequest) => {
  process.send?.(look(request));
});
process.on('disconnect', () => process.exit());
process.send?.('up');
