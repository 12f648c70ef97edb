/**
 * Where a volume's space goes: what each snapshot and branch holds alone, what
 * it shares with the live tree, what it references; what a set of them holds
 * together, and which files are behind that. Decision 0019 says how.
 *
 * What must hold: what only a set holds is exactly what the collector frees of
 * names, inodes, blocks and attributes when all of the set is deleted; and the
 * parts of the whole add up to the bytes that the volume uses.
 *
 * Doors: space.
 */
import { CommandError } from '../../lib/errors.js';
import { chooseSnapshots, mayBeSeveral, unknownSnapshot } from '../../format/text/choose.js';
import { LATEST_NAME, nearHint, nearMatches, shorten } from '../../format/text/grammar.js';
import type { StoreReader } from '../../store/reader.js';
import { returningFiles } from '../collector/stored-keeps.js';
import { MAIN_BRANCH } from '../branches/branch.js';
import { View } from '../view.js';
import type { Volume } from '../volume.js';
import { Accounts, type Figures, type Totals } from './accounts.js';
import { Holders, type Owner } from './holders.js';
import { LargestFiles } from './largest.js';
import { LayerTour } from './layer-tour.js';
import type { Readers } from './place-versions.js';
import { SCANNED_TABLES, SpaceScan } from './scan.js';

export type { Figures };

export interface SpaceQuestion {
  /** Snapshots (names, patterns, ranges) or branches that are deleted together. */
  words?: readonly string[];
  /** Branches that are deleted together with them. */
  branches?: readonly string[];
  /** So many of the largest files behind what the set holds. */
  files?: number;
  onProgress?: (done: number, total: number) => void;
}

export interface SnapshotSpace extends Figures {
  name: string;
  kind: string;
  createdMs: number;
  branch: string;
  lockCount: number;
}

export interface BranchSpace extends Figures {
  name: string;
}

export interface FileSpace {
  /** Below the root, a byte string; undefined: it has no name there. */
  path: string | undefined;
  ino: number;
  bytes: number;
  /** The snapshot or branch that shows it. */
  snapshot?: string;
  branch?: string;
}

export interface SetSpace {
  snapshots: string[];
  branches: string[];
  /** What the volume gets back when all of them are deleted. */
  freedBytes: number;
  /** So many of the snapshots are locked. */
  lockedCount: number;
}

export interface SpaceReport {
  /** The branch that is the live tree. */
  live: string;
  usedBytes: number;
  totals: Totals & {
    /** What the volume takes for its order: pages that are not full, marks of removal, its log. */
    indexBytes: number;
  };
  snapshots: SnapshotSpace[];
  branches: BranchSpace[];
  set?: SetSpace;
  files?: FileSpace[];
  /** False: changes of the intent log are counted as they will be stored. */
  isExact: boolean;
}

/** Records that a report reads. */
export function spaceRecords(reader: StoreReader): number {
  const { tables } = reader.stats();
  return SCANNED_TABLES.reduce((sum, table) => sum + (tables[table]?.records ?? 0), 0);
}

/** Throws no-such-snapshot, no-such-branch, volume-damaged. */
export function measureSpace(volume: Volume, question: SpaceQuestion = {}): SpaceReport {
  const { store, layers, options, branches } = volume;
  const live = volume.seat.branch.name;
  const holders = new Holders(volume);
  const set = setOf(volume, holders, question);
  const tour = new LayerTour(layers, holders.keptTops);
  const accounts = new Accounts(tour, holders, branches.openLayer(live).number, set);
  const largest = question.files === undefined ? undefined : new LargestFiles(question.files);
  const total = spaceRecords(store);
  /** What only the set holds of the inode that is read. */
  let [ownBytes, ownTop] = [0, 0];
  const isStaging = tour.layers.map((layer) => layers.get(layer).state === 'staging');
  const take = (readers: Readers, bytes: number, layerPlace: number): void => {
    if (bytes === 0) return;
    if (layerPlace >= 0 && isStaging[layerPlace] === true) {
      accounts.totals.incomingBytes += bytes;
    } else if (accounts.add(readers, bytes)) {
      ownBytes += bytes;
      ownTop = accounts.freedTop;
    }
  };
  const scan = new SpaceScan({
    reader: store,
    tour,
    blockSize: options.blockSize,
    returning: returningFiles(store),
    take,
    inodeDone: (fileset, ino) => {
      if (ownBytes > 0) largest?.add({ fileset, ino, bytes: ownBytes, top: ownTop });
      ownBytes = 0;
    },
    onProgress: (done) => question.onProgress?.(done, Math.max(done, total)),
  });
  scan.run();
  return {
    live,
    ...summary(volume, accounts),
    ...figuresOf(volume, holders, accounts),
    ...(set.size > 0 && { set: setSpace(volume, set, accounts) }),
    ...(largest !== undefined && { files: filesOf(volume, holders, largest) }),
    isExact: scan.isInFile,
  };
}

function summary(volume: Volume, { totals }: Accounts): Pick<SpaceReport, 'usedBytes' | 'totals'> {
  const { usedBytes } = volume.space();
  const counted = Object.values(totals).reduce((sum, bytes: number) => sum + bytes, 0);
  return { usedBytes, totals: { ...totals, indexBytes: Math.max(0, usedBytes - counted) } };
}

function figuresOf(
  volume: Volume,
  holders: Holders,
  accounts: Accounts,
): Pick<SpaceReport, 'snapshots' | 'branches'> {
  const figures = accounts.figures();
  const of = (owner: Owner | undefined, layer: number): Figures => ({
    onlyBytes: owner === undefined ? 0 : accounts.onlyOf(owner),
    sharedBytes: figures.get(layer)?.sharedBytes ?? 0,
    referencedBytes: figures.get(layer)?.referencedBytes ?? 0,
  });
  return {
    snapshots: volume
      .shownSnapshots()
      .map(({ name, layer, kind, createdMs, branch, lockCount }) => ({
        name,
        kind,
        createdMs,
        branch: branch ?? MAIN_BRANCH,
        lockCount,
        ...of(holders.find('snapshot', name), layer),
      })),
    branches: [...holders.lives].map(([name, layer]) => ({
      name,
      ...of(holders.find('branch', name), layer),
    })),
  };
}

/** A word is a snapshot (or several, as for `delete`), else a branch. */
function setOf(volume: Volume, holders: Holders, question: SpaceQuestion): ReadonlySet<Owner> {
  const { words = [], branches: names = [] } = question;
  const set = new Set<Owner>();
  const add = (owner: Owner | undefined): void => {
    if (owner !== undefined) set.add(owner);
  };
  const resolved = words.map(
    (word) => (word === LATEST_NAME ? volume.latest()?.name : word) ?? word,
  );
  const { chosen, unknown } = chooseSnapshots(resolved, volume.snapshots(), 'saved');
  for (const { name } of chosen) add(holders.find('snapshot', name));
  for (const word of unknown) {
    const branch = holders.find('branch', word);
    if (branch === undefined) throw noneOfThatName(volume, word);
    set.add(branch);
  }
  for (const name of names) {
    volume.branches.require(name);
    add(holders.find('branch', name));
  }
  return set;
}

function noneOfThatName(volume: Volume, word: string): CommandError {
  if (mayBeSeveral(word)) return unknownSnapshot(word, volume.snapshots());
  const names = new Set([...volume.catalog.snapshots.keys(), ...volume.branches.names()]);
  const near = nearMatches(word, names);
  return new CommandError(
    'no-such-snapshot',
    'ENOENT',
    `no snapshot or branch ${JSON.stringify(shorten(word, 300))}${nearHint(near)}`,
    { name: word, near },
  );
}

function setSpace(volume: Volume, set: ReadonlySet<Owner>, accounts: Accounts): SetSpace {
  const named = (kind: Owner['kind']): string[] =>
    [...set].filter((owner) => owner.kind === kind).map(({ name }) => name);
  const snapshots = named('snapshot');
  const isLocked = (name: string): boolean =>
    volume.locks.isLocked(volume.snapshot(name)?.uuid ?? '');
  return {
    snapshots,
    branches: named('branch'),
    freedBytes: accounts.freedBytes,
    lockedCount: snapshots.filter(isLocked).length,
  };
}

function filesOf(volume: Volume, holders: Holders, largest: LargestFiles): FileSpace[] {
  const views = new Map<number, View>();
  return largest.list().map(({ ino, fileset, bytes, top }) => {
    const view = views.get(top) ?? new View(fileset, top, volume.layers.lineage(top), false);
    views.set(top, view);
    const owner = holders.holdersOf(top)[0];
    return {
      path: volume.pathOf(view, ino),
      ino,
      bytes,
      ...(owner !== undefined && { [owner.kind]: owner.name }),
    };
  });
}
