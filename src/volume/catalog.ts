/**
 * The volume's small tables, held in memory whole: layers, snapshots, counters,
 * history. Every change also goes into the open txg, so that a command is one
 * transaction (rule D7).
 */
import { randomUUID } from 'node:crypto';
import { invariant } from '../lib/invariant.js';
import { layerKey, prefixEnd, uint32Key } from '../format/records/keys.js';
import { LOG_META, type LogPosition } from '../format/records/log-record.js';
import { ROOT_FILESET, ROOT_INODE, TABLE } from '../format/records/tables.js';
import { decodeJson, encodeJson } from '../format/records/values.js';
import { formatOf, formatUse } from '../format/records/volume-format.js';
import type { StoreReader, TableReader } from '../store/reader.js';
import { MAIN_BRANCH } from './branches/branch.js';
import type { VolumeCore } from './core.js';
import { type Identity, ownIdentity } from './peers/identity.js';
import type { Layer } from './lineage.js';
import { NO_ROLE, type Role } from './peers/role.js';

export interface Snapshot {
  name: string;
  uuid: string;
  layer: number;
  fileset: number;
  /**
   * 'undo': made by a command that `undo` takes back, pruned by the undo policy. 'auto': made and pruned by the schedule.
   * 'diverged': what a primary had written but not sent when it was demoted; only a person deletes
   * it.
   */
  kind: 'user' | 'undo' | 'auto' | 'diverged';
  createdMs: number;
  /** Who gave the command (`src/format/text/source.ts`). */
  source: string;
  /** What whoever saved it says about it (`src/format/text/note.ts`). */
  note?: string;
  /** The branch whose live tree it shows; absent: `main`. */
  branch?: string;
}

/** A branch but `main`. Its open layer bears its name. */
export interface BranchRecord {
  createdMs: number;
  /** Who gave the command. */
  source: string;
  /** What it was forked from: a snapshot, or the live tree of a branch. */
  from: { snapshot?: string; branch?: string };
  /** The layer that both see: what the branch has done since is above it. */
  fork: number;
  /** What it needs to be merged with others: forks of branches that have gone (rule B6). */
  keeps?: number[];
  /** Its undo line. */
  undo?: unknown;
  schedule?: StoredSchedule;
}

/** What was merged into a branch (rule M2): where the next merge starts from. */
export interface MergeRecord {
  /** The layer that the merge made; of a branch that was ahead, that branch's own. */
  layer: number;
  /** The other layer that it comes from, which is kept. */
  from: number;
  branch: string;
  into: string;
  timeMs: number;
}

/** A branch's schedule of saves, and when it was set. */
export interface StoredSchedule {
  text?: string;
  sinceMs?: number;
}

/**
 * A member's part of a group save whose outcome is not known yet. Its name is
 * taken and its data is kept, but no command shows it as a snapshot.
 */
export interface TentativeSnapshot extends Omit<Snapshot, 'kind'> {
  kind: 'tentative';
  /** The key of the group save. */
  key: string;
  /** What the sync needs to know about it. */
  point: object;
}

/** A user or the schedule saved it; no command left it behind. */
export function isSaved({ kind }: Pick<Snapshot, 'kind'>): boolean {
  return kind === 'user' || kind === 'auto';
}

export interface HistoryRecord {
  sequence: number;
  timeMs: number;
  command: string;
  name?: string;
  layer: number;
  newLayer?: number;
  source: string;
  outcome: string;
  /** The branch whose live tree it was about; absent: `main`. */
  branch?: string;
  details?: Record<string, unknown>;
}

/** Unless it says otherwise, the command is given now and is about the open layer. */
export type NewRecord = Omit<HistoryRecord, 'sequence' | 'timeMs' | 'layer'> &
  Partial<Pick<HistoryRecord, 'timeMs' | 'layer'>>;

export interface Counters {
  nextLayer: number;
  nextHistory: number;
  /** The next counter of each inode allocator. */
  nextInode: Record<string, number>;
  agentRuns: number;
}

/** Before a branch's name. */
const BRANCH_META = 'branch/';
const UNDO_META = 'undo';
const SHOWN_META = 'shownBranch';
const MERGES_META = 'merges';
const MERGING_META = 'merging';
/** Merges of one branch into another that are remembered, and of all: each keeps a state. */
const MERGES_OF_PAIR = 4;
const MERGES_MAX = 64;

const metaKey = (name: string): Buffer => Buffer.from(name);

export function readMeta<T>(reader: TableReader, name: string): T | undefined {
  const value = reader.get(TABLE.meta, metaKey(name));
  return value === undefined ? undefined : decodeJson<T>(value, `meta/${name}`);
}

/**
 * The volume was made over a directory, whether that is available or not: the
 * checks and receivers ask the stored record.
 */
export function hasBase(reader: TableReader): boolean {
  return reader.has(TABLE.meta, metaKey('base'));
}

/** All branches but `main`; reading a record may throw CorruptionError. */
export function* storedBranches(
  reader: StoreReader,
): Generator<[name: string, record: () => BranchRecord]> {
  const prefix = metaKey(BRANCH_META);
  for (const { key, value } of reader.range(TABLE.meta, prefix, prefixEnd(prefix), {})) {
    const name = key.subarray(prefix.length).toString();
    yield [name, () => decodeJson<BranchRecord>(value, `branch ${name}`)];
  }
}

const ALL = Buffer.alloc(40, 0xff);
const FIRST = Buffer.of(0);

export class Catalog {
  readonly snapshots = new Map<string, Snapshot>();
  /** By the key of the group save. */
  readonly tentative = new Map<string, TentativeSnapshot>();
  readonly branches = new Map<string, BranchRecord>();
  /** Oldest first. */
  merges: readonly MergeRecord[] = [];
  /** The staging layer of the merge that runs, or that was cut off. */
  merging: number | undefined;
  /** The undo line of `main`. */
  #mainUndo: unknown;
  #mainSchedule: StoredSchedule = {};
  /** The branch that a mount shows when it asks for none. */
  #shown = MAIN_BRANCH;
  #core: VolumeCore | undefined;
  #inodesTaken = false;
  #hasLog = false;

  constructor(
    readonly counters: Counters,
    public identity: Identity,
    public role: Role,
    /** The stored format says that something was applied. */
    private isApplied = false,
    /** … or that the base has bytes of files that the tree made. */
    private hasGiven = false,
  ) {}

  /** Reads the stored tables; the layers go to `addLayer`. */
  static load(reader: StoreReader, addLayer: (layer: Layer) => void): Catalog {
    const counters = {
      nextLayer: readMeta<number>(reader, 'nextLayer') ?? 1,
      nextHistory: readMeta<number>(reader, 'nextHistory') ?? 1,
      nextInode: readMeta<Record<string, number>>(reader, 'nextInode') ?? {},
      agentRuns: readMeta<number>(reader, 'agentRuns') ?? 0,
    };
    const identity =
      readMeta<Identity>(reader, 'identity') ?? ownIdentity(readMeta<string>(reader, 'uuid') ?? '');
    const role = readMeta<Role>(reader, 'role') ?? NO_ROLE;
    const use = formatUse(readMeta<number>(reader, 'format'));
    const catalog = new Catalog(counters, identity, role, use?.isApplied, use?.hasGiven);
    for (const { key, value } of reader.range(TABLE.layers, FIRST.subarray(0, 1), ALL, {})) {
      const number = key.readUIntBE(0, 6);
      addLayer({ ...decodeJson<Omit<Layer, 'number'>>(value, `layer ${number}`), number });
    }
    for (const { key, value } of reader.range(TABLE.snapshots, FIRST, ALL, {})) {
      const name = key.toString();
      const record = decodeJson<Omit<Snapshot | TentativeSnapshot, 'name'>>(
        value,
        `snapshot ${name}`,
      );
      const stored = { ...record, name } as Snapshot | TentativeSnapshot;
      if (stored.kind === 'tentative') catalog.tentative.set(stored.key, stored);
      else catalog.snapshots.set(name, stored);
    }
    for (const [name, record] of storedBranches(reader)) catalog.branches.set(name, record());
    catalog.merging = readMeta<number>(reader, MERGING_META);
    catalog.merges = readMeta<MergeRecord[]>(reader, MERGES_META) ?? [];
    catalog.#mainUndo = readMeta<unknown>(reader, UNDO_META);
    catalog.#shown = readMeta<string>(reader, SHOWN_META) ?? MAIN_BRANCH;
    const text = readMeta<unknown>(reader, 'schedule');
    const sinceMs = readMeta<unknown>(reader, 'scheduleSince');
    catalog.#mainSchedule = {
      ...(typeof text === 'string' && { text }),
      ...(typeof sinceMs === 'number' && { sinceMs }),
    };
    return catalog;
  }

  /** From now on, changes are stored. */
  attach(core: VolumeCore): void {
    this.#core = core;
  }

  #put(
    table:
      | typeof TABLE.layers
      | typeof TABLE.meta
      | typeof TABLE.snapshots
      | typeof TABLE.history
      | typeof TABLE.filesets,
    key: Buffer,
    value: unknown,
  ): void {
    this.#core?.putSystem(table, key, value === undefined ? undefined : encodeJson(value));
  }

  putMeta(name: string, value: unknown): void {
    this.#put(TABLE.meta, metaKey(name), value);
  }

  putLayer(layer: Layer): void {
    const { number, ...record } = layer;
    this.#put(TABLE.layers, layerKey(number), record);
  }

  deleteLayer(number: number): void {
    this.#put(TABLE.layers, layerKey(number), undefined);
  }

  putFileset(openLayer: number): void {
    this.#put(TABLE.filesets, uint32Key(ROOT_FILESET), {
      name: 'root',
      rootInode: ROOT_INODE,
      openLayer,
    });
  }

  /** A received snapshot keeps its UUID. */
  addSnapshot(snapshot: Omit<Snapshot, 'uuid'> & { uuid?: string }): Snapshot {
    const full = { ...snapshot, uuid: snapshot.uuid ?? randomUUID() };
    this.snapshots.set(full.name, full);
    this.putSnapshot(full);
    return full;
  }

  putSnapshot(snapshot: Snapshot): void {
    const { name, ...record } = snapshot;
    this.#put(TABLE.snapshots, Buffer.from(name), record);
  }

  /** True when a snapshot has the name, or will have it if its group save succeeds. */
  isTaken(name: string): boolean {
    return this.snapshots.has(name) || [...this.tentative.values()].some((t) => t.name === name);
  }

  putTentative(tentative: TentativeSnapshot): void {
    const { name, ...record } = tentative;
    this.tentative.set(tentative.key, tentative);
    this.#put(TABLE.snapshots, Buffer.from(name), record);
  }

  /** The caller then adds the snapshot of that name, or nothing. */
  takeTentative(key: string): TentativeSnapshot | undefined {
    const found = this.tentative.get(key);
    if (found === undefined) return undefined;
    this.tentative.delete(key);
    this.#put(TABLE.snapshots, Buffer.from(found.name), undefined);
    return found;
  }

  replaceSnapshot(snapshot: Snapshot): void {
    this.snapshots.set(snapshot.name, snapshot);
    this.putSnapshot(snapshot);
  }

  putBranch(name: string, record: BranchRecord): void {
    const isFirst = this.branches.size === 0;
    this.branches.set(name, record);
    this.putMeta(BRANCH_META + name, record);
    if (isFirst) this.#putFormat();
  }

  putMerging(layer: number | undefined): void {
    this.merging = layer;
    this.putMeta(MERGING_META, layer);
  }

  addMerge(record: MergeRecord): void {
    const { branch, into } = record;
    const isOfPair = (other: MergeRecord): boolean =>
      other.branch === branch && other.into === into;
    const ofPair = [...this.merges.filter(isOfPair), record].slice(-MERGES_OF_PAIR);
    const others = [...this.merges, record].filter((one) => !isOfPair(one) || ofPair.includes(one));
    this.putMerges(others.slice(-MERGES_MAX));
  }

  putMerges(merges: readonly MergeRecord[]): void {
    const hadMerges = this.merges.length > 0;
    this.merges = merges;
    this.putMeta(MERGES_META, merges.length > 0 ? merges : undefined);
    if (hadMerges !== merges.length > 0) this.#putFormat();
  }

  /** A layer is gone; `children` stand where it stood. */
  layerGone(number: number, children: readonly number[]): void {
    if (!this.merges.some(({ layer }) => layer === number)) return;
    this.putMerges(
      this.merges.flatMap((merge) =>
        merge.layer === number ? children.map((layer) => ({ ...merge, layer })) : [merge],
      ),
    );
  }

  deleteBranch(name: string): void {
    this.branches.delete(name);
    this.putMeta(BRANCH_META + name, undefined);
    if (this.branches.size === 0) this.#putFormat();
  }

  /** The undo line of a branch, as it is stored. */
  undoOf(branch: string): unknown {
    return branch === MAIN_BRANCH ? this.#mainUndo : this.branches.get(branch)?.undo;
  }

  putUndo(branch: string, undo: unknown): void {
    if (branch === MAIN_BRANCH) {
      this.#mainUndo = undo;
      this.putMeta(UNDO_META, undo);
      return;
    }
    const record = this.branches.get(branch);
    if (record !== undefined) this.putBranch(branch, { ...record, undo });
  }

  get shownBranch(): string {
    return this.#shown;
  }

  putShownBranch(name: string): void {
    if (name === this.#shown) return;
    this.#shown = name;
    this.putMeta(SHOWN_META, name === MAIN_BRANCH ? undefined : name);
  }

  scheduleOf(branch: string): StoredSchedule {
    if (branch === MAIN_BRANCH) return this.#mainSchedule;
    return this.branches.get(branch)?.schedule ?? {};
  }

  putSchedule(branch: string, schedule: StoredSchedule): void {
    if (branch === MAIN_BRANCH) {
      this.#mainSchedule = schedule;
      this.putMeta('schedule', schedule.text);
      this.putMeta('scheduleSince', schedule.sinceMs);
      return;
    }
    const record = this.branches.get(branch);
    if (record !== undefined) this.putBranch(branch, { ...record, schedule });
  }

  deleteSnapshot(name: string): void {
    this.snapshots.delete(name);
    this.#put(TABLE.snapshots, Buffer.from(name), undefined);
  }

  /** Oldest first. */
  list(): Snapshot[] {
    return [...this.snapshots.values()].sort((a, b) => a.layer - b.layer);
  }

  putIdentity(identity: Identity): void {
    this.identity = identity;
    this.putMeta('identity', identity);
  }

  /** The number of this run of the sync agent: higher than the number of every earlier run. */
  takeAgentRun(): number {
    this.counters.agentRuns++;
    this.putMeta('agentRuns', this.counters.agentRuns);
    return this.counters.agentRuns;
  }

  putRole(role: Role): void {
    this.role = role;
    this.putMeta('role', role);
  }

  takeLayer(): number {
    const layer = this.counters.nextLayer++;
    this.putMeta('nextLayer', this.counters.nextLayer);
    return layer;
  }

  /** The next counter of an allocator; `storeCounters` stores it with the txg. */
  takeInode(allocator: number): number {
    const next = this.counters.nextInode[allocator] ?? 1;
    this.counters.nextInode[allocator] = next + 1;
    this.#inodesTaken = true;
    return next;
  }

  /** Called before a txg closes: a number that was given out is never given again (rule D6). */
  storeCounters(): void {
    if (!this.#inodesTaken) return;
    this.#inodesTaken = false;
    this.putMeta('nextInode', this.counters.nextInode);
  }

  /**
   * While the log may hold changes that LMDB lacks, versions that do not know the log must refuse
   * the volume.
   */
  putLog(position: LogPosition): void {
    this.putMeta(LOG_META, position);
    if (this.#hasLog) return;
    this.#hasLog = true;
    this.#putFormat();
  }

  /** LMDB has everything. */
  forgetLog(): void {
    this.putMeta(LOG_META, undefined);
    this.#hasLog = false;
    this.#putFormat();
  }

  /** Versions that do not know the base layer's records must refuse the volume (rule A7). */
  noteApplied(): void {
    if (this.isApplied) return;
    this.isApplied = true;
    this.#putFormat();
  }

  /** Versions that do not read such bytes from the base must refuse the volume (rule G7). */
  noteGiven(): void {
    if (this.hasGiven) return;
    this.hasGiven = true;
    this.#putFormat();
  }

  /** Some file may have given its bytes to the base. */
  get mayHaveGiven(): boolean {
    return this.hasGiven;
  }

  #putFormat(): void {
    const { isApplied, hasGiven } = this;
    const hasBranches = this.branches.size > 0;
    const hasMerges = this.merges.length > 0;
    const hasLog = this.#hasLog;
    this.putMeta('format', formatOf({ hasLog, isApplied, hasBranches, hasMerges, hasGiven }));
  }

  addHistory(given: NewRecord): HistoryRecord {
    const core = this.#core;
    invariant(core !== undefined, 'commands come after the volume is open');
    const record = { timeMs: core.clock.nowMs(), layer: core.main.live.top, ...given };
    const sequence = this.counters.nextHistory++;
    this.#put(TABLE.history, layerKey(sequence), record);
    this.putMeta('nextHistory', this.counters.nextHistory);
    return { ...record, sequence };
  }
}

/** The last `limit` commands, oldest first. */
export function readHistory(reader: StoreReader, limit: number): HistoryRecord[] {
  const records: HistoryRecord[] = [];
  const range = reader.range(TABLE.history, FIRST, ALL, { limit, reverse: true });
  for (const { key, value } of range) {
    const sequence = key.readUIntBE(0, 6);
    records.push({ ...decodeJson<HistoryRecord>(value, `history ${sequence}`), sequence });
  }
  return records.reverse();
}
