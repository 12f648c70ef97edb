/**
 * `check`: every rule of native-notes/format.md that can be checked on a stored
 * volume. It works from the outside in: pages (without LMDB), small tables,
 * records and delta map, views. Each stage runs only where the one before
 * allows it.
 *
 * What must hold: nothing is written; damage gives findings, never an exception
 * or a crash; memory does not grow with the volume, except for one bit per page
 * and the views' caches.
 *
 * Doors: check, report, staged.
 */
import { CommandError } from '../lib/errors.js';
import { ROOT_FILESET, TABLE, TABLE_NAMES, type TableNumber } from '../format/records/tables.js';
import { checkPages, type PageFinding } from '../store/mdb/pages.js';
import { checkVolumeFiles } from '../store/open.js';
import { StoreReader } from '../store/reader.js';
import { checkApplied } from './applied.js';
import { checkCatalog } from './catalog.js';
import { RecordCheck, VERSIONED_TABLES } from './records.js';
import { workNow } from '../lib/work.js';
import { messageOf } from '../lib/errors.js';
import { type CheckReport, CheckState, type OnProgress } from './report.js';
import { openToRead } from '../volume/log/log-replay.js';
import { ViewCheck } from './views.js';
import type { Layer } from '../volume/lineage.js';
import type { ReadableVolume } from '../volume/readable-volume.js';
import { Volume, type VolumeOpenOptions } from '../volume/volume.js';

export type { CheckReport, Finding } from './report.js';

export interface CheckOptions {
  /** Called at most every 100 ms, and at the end. Counts records. */
  onProgress?: OnProgress;
  /** Also reads the bytes of every block (the default): costs one read of the volume. */
  deep?: boolean;
}

/** Without these tables nothing else can be checked. */
const SMALL_TABLES: readonly TableNumber[] = [
  TABLE.meta,
  TABLE.layers,
  TABLE.snapshots,
  TABLE.filesets,
  TABLE.history,
];

function nameOf(table: TableNumber): string {
  return TABLE_NAMES[table - 1] as string;
}

/**
 * Checks a volume that may be too damaged to open. The volume need not be open;
 * if it is mounted, its committed state is checked. Throws CommandError only
 * when there is no volume of a known format, or the base directory is not the
 * volume's.
 */
export function checkVolumeAt(
  what: Omit<VolumeOpenOptions, 'writer'>,
  options: CheckOptions = {},
): CheckReport {
  const state = new CheckState(options.onProgress);
  try {
    checkVolumeFiles(what.path);
  } catch (error) {
    if (isRefusal(error)) throw error;
    state.add('store', messageOf(error), 'data.mdb');
    return state.report();
  }
  const damaged = checkStorePages(what.path, state);
  const isReadable = (table: TableNumber): boolean => !damaged.has(nameOf(table));
  if (damaged.has('main') || !SMALL_TABLES.every(isReadable)) return state.report();
  let reader: StoreReader | undefined;
  try {
    reader = openToRead(what.path);
    const volume = openVolume(what, reader, state);
    if (volume !== undefined) {
      // Everything is read from one state of the store: a mount may continue to write and collect.
      reader.close();
      reader = volume.store;
    }
    checkStore(reader, volume, state, isReadable, { ...options, path: what.path });
  } catch (error) {
    if (isRefusal(error)) throw error;
    state.add('store', messageOf(error), 'data.mdb');
  } finally {
    // The caller closes the base directory's descriptor.
    reader?.close();
  }
  return state.report();
}

/** Not damage: no volume, a newer format, another base directory. */
function isRefusal(error: unknown): boolean {
  return error instanceof CommandError && error.code !== 'volume-damaged';
}

/** Undefined when the volume can't be opened, so that its views can't be checked. */
function openVolume(
  what: Omit<VolumeOpenOptions, 'writer'>,
  reader: StoreReader,
  state: CheckState,
): Volume | undefined {
  const { isTree, layers } = checkCatalog(reader, new CheckState(undefined));
  const isOpen = ({ state, fileset }: Layer): boolean =>
    state === 'open' && fileset === ROOT_FILESET;
  if (!isTree || ![...layers.values()].some(isOpen)) return undefined;
  try {
    return Volume.open({ reattach: true, ...what, writer: { kind: 'none' } });
  } catch (error) {
    if (isRefusal(error)) throw error;
    state.add('store', `the volume does not open: ${messageOf(error)}`, what.path);
    return undefined;
  }
}

/** Names of the trees that must not be read through LMDB. */
function checkStorePages(path: string, state: CheckState): Set<string> {
  let report = checkPages(path);
  if (!report.isCertain) {
    // A mount may commit all the time. While a reader holds a state, LMDB does not reuse its pages.
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

/** `volume`: undefined when it does not open; its views are then not checked. */
function checkStore(
  reader: StoreReader,
  volume: ReadableVolume | undefined,
  state: CheckState,
  isReadable: (table: TableNumber) => boolean,
  options: CheckOptions & { path: string },
): void {
  const { tables } = reader.stats();
  const records = [...VERSIONED_TABLES, TABLE.delta].map((table) => tables[table]?.records ?? 0);
  state.total = records.reduce((sum, count) => sum + count, 0);
  const catalog = checkCatalog(reader, state);
  if ([TABLE.delta, TABLE.inodes, TABLE.blocks].every(isReadable)) {
    state.guard('A8', 'meta/applied', () => checkApplied(reader, state, catalog, options.path));
  }
  new RecordCheck(reader, catalog, state, { deep: options.deep ?? true, isReadable }).run();
  const all = [...VERSIONED_TABLES, TABLE.delta, TABLE.reap, TABLE.baseids];
  if (volume === undefined || !catalog.isTree || !all.every(isReadable)) return;
  workNow(new ViewCheck(volume, state).run(catalog.tops));
}
