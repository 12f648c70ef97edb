/** The list of volumes: what the registry knows, and what can be seen of each now. */
import { isRunning, readMountRecords } from '../mount/mount-record.js';
import { readMountTable } from '../mount/mount-table.js';
import type { StatePaths } from '../mount/paths.js';
import { type ListedVolume, lookAt } from './look-at-volume.js';
import { lookElsewhere } from './look-elsewhere.js';
import { byLastUse } from './lookup.js';
import { readRegistry } from './registry.js';

export type { ListedVolume } from './look-at-volume.js';

/** Those used last come first. `damaged` gets the entries that can't be read. */
export async function listVolumes(
  paths: StatePaths,
  damaged: (path: string, why: string) => void,
): Promise<ListedVolume[]> {
  const table = readMountTable();
  const records = readMountRecords(paths).filter(isRunning);
  const entries = byLastUse(readRegistry(paths, damaged));
  const elsewhere = await lookElsewhere(entries, table, records);
  return entries.map((entry) => elsewhere.get(entry.id) ?? lookAt(entry, table, records));
}
