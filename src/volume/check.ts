/**
 * `check`: every rule of native-notes/format.md that can be checked on a stored
 * volume. From the outside in, and each step only where the one before allows
 * it: pages (without LMDB), small tables, records and delta map, views.
 *
 * What must hold: nothing is written; damage gives findings and never an
 * exception or a crash; memory does not grow with the volume, but for one bit
 * per page and the caches of the views.
 */
import { CommandError } from '../base/errors.js';
import { TABLE, TABLE_NAMES, type TableNumber } from '../format/tables.js';
import { checkPages, type PageFinding } from '../store/mdb-pages.js';
import { checkVolumeFiles } from '../store/open.js';
import { StoreReader } from '../store/reader.js';
import { checkCatalog } from './check-catalog.js';
import { RecordCheck, VERSIONED_TABLES } from './check-records.js';
import { type CheckReport, CheckState, messageOf, type OnProgress } from './check-report.js';
import { ViewCheck } from './check-views.js';
import type { ReadableVolume } from './readable-volume.js';
import { Volume, type VolumeOpenOptions } from './volume.js';

export type { CheckReport, Finding } from './check-report.js';

export interface CheckOptions {
  /** Called at most every 100 ms, and at the end. Counts records. */
  onProgress?: OnProgress;
  /** Reads the bytes of every block too (the default): costs one read of the volume. */
  deep?: boolean;
}

const NONE: ReadonlySet<string> = new Set();

/** Checks the committed state of an open volume. */
export function checkVolume(volume: ReadableVolume, options: CheckOptions = {}): CheckReport {
  const state = new CheckState(options.onProgress);
  checkStore(volume.core.reader, state, NONE, options, () => volume);
  return state.report();
}

/**
 * Checks a volume that may be damaged too much to be opened. Nobody needs to
 * have it open; if a mount has, its committed state is checked. Throws
 * CommandError only when there is no volume of a known format at all.
 */
export function checkVolumeAt(
  what: Omit<VolumeOpenOptions, 'writer'>,
  options: CheckOptions = {},
): CheckReport {
  const state = new CheckState(options.onProgress);
  try {
    checkVolumeFiles(what.path);
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== 'volume-damaged') throw error;
    state.add('store', error.message, 'data.mdb');
    return state.report();
  }
  const damaged = checkStorePages(what.path, state);
  if (damaged.has('main')) return state.report();
  let reader: StoreReader;
  try {
    reader = StoreReader.open(what.path, { readOnly: true });
  } catch (error) {
    state.add('store', messageOf(error), 'data.mdb');
    return state.report();
  }
  let volume: Volume | undefined;
  try {
    checkStore(reader, state, damaged, options, () => {
      volume = Volume.open({ reattach: true, ...what, writer: { kind: 'none' } });
      return volume;
    });
  } finally {
    // The base's descriptor is the caller's to close.
    volume?.core.reader.close();
    reader.close();
  }
  return state.report();
}

/** Names of the trees that must not be read through LMDB. */
function checkStorePages(path: string, state: CheckState): Set<string> {
  let report = checkPages(path);
  if (!report.isCertain) {
    // Somebody commits all the time. While a reader holds a state, its pages are not used anew.
    const reader = StoreReader.open(path, { readOnly: true });
    report = checkPages(path);
    reader.close();
  }
  state.counted.pages = report.pages;
  const damaged = new Set<string>();
  for (const finding of report.findings) {
    damaged.add(finding.tree);
    state.add('store', finding.what, placeOfPage(finding));
  }
  return damaged;
}

function placeOfPage({ tree, page }: PageFinding): string {
  if (tree === 'main' || tree === 'free') return `page ${page}, the list of ${tree} pages`;
  return `page ${page}, table ${tree}`;
}

function checkStore(
  reader: StoreReader,
  state: CheckState,
  damaged: ReadonlySet<string>,
  options: CheckOptions,
  open: () => ReadableVolume,
): void {
  const isReadable = (table: TableNumber): boolean =>
    !damaged.has(TABLE_NAMES[table - 1] as string);
  const small = [TABLE.meta, TABLE.layers, TABLE.snapshots, TABLE.filesets, TABLE.history];
  if (!small.every(isReadable)) return;
  const { tables } = reader.stats();
  const records = [...VERSIONED_TABLES, TABLE.delta].map((table) => tables[table]?.records ?? 0);
  state.total = records.reduce((sum, count) => sum + count, 0);
  const catalog = checkCatalog(reader, state);
  new RecordCheck(reader, catalog, state, { deep: options.deep ?? true, isReadable }).run();
  const all = [...VERSIONED_TABLES, TABLE.delta, TABLE.reap, TABLE.baseids];
  if (!catalog.isTree || !all.every(isReadable)) return;
  let volume: ReadableVolume;
  try {
    volume = open();
  } catch (error) {
    state.add('store', messageOf(error), 'the volume does not open');
    return;
  }
  new ViewCheck(volume, state).run(catalog.tops);
}
