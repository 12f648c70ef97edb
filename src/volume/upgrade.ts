/**
 * The way in for new tables and fields. What a volume of an older shadowfs
 * lacks is added when it is opened to be written, in one transaction: after a
 * crash it is the old volume or the new one. Whoever only reads finds a missing
 * table empty and a missing field of a JSON record undefined, and writes nothing.
 * (Inode records are binary: a new field there takes a free bit of the flags,
 * `src/format/records/inode-record.ts`.)
 *
 * To add a table or a field: give the table its number in tables.ts and name it
 * in ADDED_TABLES; add an entry at the end of UPGRADES; write both down in
 * native-notes/format.md; keep a golden volume of the state before
 * (test/golden). `meta/revision` says how many entries a volume has had, so
 * entries are never removed or put in another order.
 */
import { CommandError } from '../lib/errors.js';
import { failpoint } from '../lib/failpoints.js';
import { TABLE, type TableName } from '../format/records/tables.js';
import { encodeJson } from '../format/records/values.js';
import type { TableReader } from '../store/reader.js';
import type { WriteTransaction } from '../store/write-transaction.js';
import { StoreWriter } from '../store/writer.js';
import { readMeta } from './catalog.js';

export interface Upgrade {
  /** What it brings, for the log. */
  what: string;
  tables?: readonly TableName[];
  /** Puts what the new version expects to find. The tables are there. */
  fill?(tx: WriteTransaction): void;
}

/** In the order in which they came. */
export const UPGRADES: readonly Upgrade[] = [];

const REVISION_META = 'revision';

/** How many upgrades the volume has had. */
export function revisionOf(reader: TableReader): number {
  return readMeta<number>(reader, REVISION_META) ?? 0;
}

/** Throws CommandError `newer-format`: a newer shadowfs has added what this one does not keep up. */
export function checkRevision(path: string, reader: TableReader, known = UPGRADES.length): void {
  const revision = revisionOf(reader);
  if (revision <= known) return;
  throw new CommandError(
    'newer-format',
    'EINVAL',
    `${path}: the volume has revision ${revision}; this shadowfs knows revisions up to ${known}`,
  );
}

/** For a new volume, which has all tables: nothing is missing in it. */
export function putRevision(tx: WriteTransaction, revision = UPGRADES.length): void {
  tx.put(TABLE.meta, Buffer.from(REVISION_META), encodeJson(revision));
}

/**
 * Adds what the volume lacks; the caller owns it. Returns what was added, in
 * words. Throws FsError (ENOSPC, EIO), and then nothing is changed.
 */
export function upgradeVolume(
  path: string,
  revision: number,
  { compression, upgrades = UPGRADES }: { compression: boolean; upgrades?: readonly Upgrade[] },
): string[] {
  const missing = upgrades.slice(revision);
  if (missing.length === 0) return [];
  const mayLack = missing.flatMap(({ tables = [] }) => tables);
  const writer = StoreWriter.open(path, { compression, mayLack });
  try {
    writer.transaction((tx) => {
      for (const { tables = [], fill } of missing) {
        for (const name of tables) tx.addTable(name);
        fill?.(tx);
      }
      putRevision(tx, upgrades.length);
      failpoint('upgrade:before-commit');
    });
    failpoint('upgrade:after-commit');
  } finally {
    writer.close();
  }
  return missing.map(({ what }) => what);
}
