/**
 * Checks the small tables: layers (one tree), snapshots, filesets, history,
 * counters. Reads them directly from the store, so that it can report damage in
 * a volume that no longer opens.
 */
import { noteObjection } from '../format/text/note.js';
import { MAIN_BRANCH } from '../volume/branches/branch.js';
import { type BranchRecord, hasBase, type MergeRecord, storedBranches } from '../volume/catalog.js';
import { isCount } from '../lib/fields.js';
import { layerKey } from '../format/records/keys.js';
import { BASE_LAYER, MAX_LAYER, ROOT_FILESET, TABLE } from '../format/records/tables.js';
import { formatUse } from '../format/records/volume-format.js';
import { decodePeering } from '../format/records/peer-record.js';
import { decodeJson } from '../format/records/values.js';
import type { StoreReader } from '../store/reader.js';
import { frozenOf } from '../volume/freeze/frozen.js';
import { checkLocks } from './locks.js';
import type { CheckState } from './report.js';
import { type Identity, ownIdentity } from '../volume/peers/identity.js';
import type { Layer } from '../volume/lineage.js';
import { checkOptions, type VolumeOptions } from '../volume/options.js';

export interface CheckedCatalog {
  layers: Map<number, Layer>;
  /** All but `main`. */
  branches: Map<string, BranchRecord>;
  filesets: Set<number>;
  options: VolumeOptions | undefined;
  nextLayer: number;
  nextInode: Readonly<Record<string, number>>;
  identity: Identity | undefined;
  hasBase: boolean;
  /** It had a base, and needs it no more (rule A12). */
  isFrozen: boolean;
  /** Layers that a view may start at: those with a name, and open ones. */
  tops: Set<number>;
  /** The layers form a tree, so that views can be made. */
  isTree: boolean;
}

const STATES = new Set(['base', 'open', 'sealed', 'staging']);
const KINDS = new Set(['user', 'undo', 'auto', 'diverged', 'tentative']);

export function checkCatalog(reader: StoreReader, state: CheckState): CheckedCatalog {
  const catalog: CheckedCatalog = {
    layers: new Map(),
    branches: new Map(),
    filesets: new Set(),
    options: undefined,
    nextLayer: 0,
    nextInode: {},
    identity: undefined,
    hasBase: false,
    isFrozen: false,
    tops: new Set(),
    isTree: false,
  };
  state.guard('format', 'meta', () => checkMeta(reader, state, catalog));
  state.guard('D12', 'layers', () => readLayers(reader, state, catalog));
  state.guard('D12', 'layers', () => checkTree(state, catalog));
  state.guard('D7', 'filesets', () => checkFilesets(reader, state, catalog));
  state.guard('M2', 'merges', () => checkMerges(reader, state, catalog));
  state.guard('D7', 'snapshots', () => checkSnapshots(reader, state, catalog));
  state.guard('K1', 'locks', () => checkLocks(reader, state));
  state.guard('D8', 'history', () => checkHistory(reader, state, catalog));
  state.guard('D7', 'peers', () => checkPeers(reader, state));
  return catalog;
}

function meta<T>(reader: StoreReader, name: string): T | undefined {
  const value = reader.get(TABLE.meta, Buffer.from(name));
  return value === undefined ? undefined : decodeJson<T>(value, `meta/${name}`);
}

function checkMeta(reader: StoreReader, state: CheckState, catalog: CheckedCatalog): void {
  const format = meta<number>(reader, 'format');
  if (formatUse(format) === undefined)
    state.add('format', `the format is ${format}`, 'meta/format');
  const uuid = meta<string>(reader, 'uuid');
  if (typeof uuid !== 'string' || uuid.length !== 36) {
    state.add('format', 'the volume has no uuid', 'meta/uuid');
  } else catalog.identity = meta<Identity>(reader, 'identity') ?? ownIdentity(uuid);
  catalog.hasBase = hasBase(reader);
  checkFrozen(reader, state, catalog);
  const options = meta<VolumeOptions>(reader, 'options');
  if (options === undefined) state.add('format', 'the options are missing', 'meta/options');
  else state.guard('format', 'meta/options', () => checkOptions(options));
  catalog.options = options;
  for (const [name, record] of storedBranches(reader)) {
    state.guard('B1', `branch ${name}`, () => catalog.branches.set(name, record()));
  }
  const nextLayer = meta<number>(reader, 'nextLayer');
  if (isCount(nextLayer)) catalog.nextLayer = nextLayer;
  else state.add('D6', 'the counter of the layers is missing', 'meta/nextLayer');
  const nextInode = meta<Record<string, number>>(reader, 'nextInode');
  if (typeof nextInode === 'object' && Object.values(nextInode).every(isCount)) {
    catalog.nextInode = nextInode;
  } else {
    state.add('D6', 'the counters of the inodes are missing', 'meta/nextInode');
  }
}

function checkFrozen(reader: StoreReader, state: CheckState, catalog: CheckedCatalog): void {
  const frozen = frozenOf(reader);
  if (frozen === undefined) return;
  catalog.isFrozen = true;
  if (!isCount(frozen.timeMs)) state.add('A12', 'it does not say when', 'meta/frozen');
  if (catalog.hasBase) state.add('A12', 'the volume is frozen, and has a base', 'meta/base');
}

function readLayers(reader: StoreReader, state: CheckState, catalog: CheckedCatalog): void {
  for (const { key, value } of reader.range(TABLE.layers, undefined, undefined)) {
    if (key.length !== 6) {
      state.add('D12', 'a key is not a layer number', `layers ${key.toString('hex')}`);
      continue;
    }
    const number = key.readUIntBE(0, 6);
    const where = `layer ${number}`;
    state.guard('D12', where, () => {
      const layer = { ...decodeJson<Omit<Layer, 'number'>>(value, where), number };
      if (!isCount(layer.parent) || !STATES.has(layer.state) || !isCount(layer.fileset)) {
        state.add('D12', 'the record lacks parent, fileset or state', where);
        return;
      }
      catalog.layers.set(number, layer);
      state.counted.layers++;
      if (number >= catalog.nextLayer) {
        state.add('D6', `the number is not below the counter ${catalog.nextLayer}`, where);
      }
    });
  }
}

/** One root, the base layer. Parents exist and are older, so there is no cycle. */
function checkTree(state: CheckState, catalog: CheckedCatalog): void {
  const { layers, tops } = catalog;
  const root = layers.get(BASE_LAYER);
  let isTree = root !== undefined;
  if (root === undefined) state.add('D12', 'the base layer is missing', `layer ${BASE_LAYER}`);
  else if (root.state !== 'base' || root.parent !== 0) {
    state.add('D12', 'the base layer is not the root of the tree', `layer ${BASE_LAYER}`);
    isTree = false;
  }
  const open = new Map<string, number>();
  for (const layer of layers.values()) {
    const where = `layer ${layer.number}`;
    const parent = layers.get(layer.parent);
    if (layer.number !== BASE_LAYER) {
      if (parent === undefined) {
        state.add('D12', `the parent ${layer.parent} does not exist`, where);
        isTree = false;
      } else if (parent.number >= layer.number) {
        state.add('D12', `the parent ${layer.parent} is not older`, where);
        isTree = false;
      } else if (parent.state === 'open') {
        state.add('D1', `the parent ${layer.parent} is open`, where);
      }
      if (layer.state === 'base') state.add('D12', 'there is a second base layer', where);
    }
    if (layer.state !== 'open') continue;
    tops.add(layer.number);
    const branch = `${layer.fileset}/${layer.branch}`;
    const other = open.get(branch);
    if (other !== undefined) state.add('D1', `the branch has two open layers: ${other}`, where);
    open.set(branch, layer.number);
  }
  catalog.isTree = isTree;
  checkBranches(state, catalog, open);
}

/** Rules B1 and B2: what is open is `main` or a known branch, and the other way round. */
function checkBranches(
  state: CheckState,
  { branches, layers, tops }: CheckedCatalog,
  open: ReadonlyMap<string, number>,
): void {
  const main = `${ROOT_FILESET}/${MAIN_BRANCH}`;
  if (!open.has(main)) state.add('B1', 'the branch main has no open layer', 'the tree of layers');
  for (const [branch, number] of open) {
    const name = branch.slice(branch.indexOf('/') + 1);
    if (branch === main || branches.has(name)) continue;
    state.add('B1', `it is open, and there is no branch ${name}`, `layer ${number}`);
  }
  for (const [name, { fork, keeps = [] }] of branches) {
    const where = `branch ${name}`;
    const top = open.get(`${ROOT_FILESET}/${name}`);
    if (top === undefined) state.add('B1', 'it has no open layer', where);
    if (!layers.has(fork)) {
      state.add('B2', `the layer ${fork} that it was forked from does not exist`, where);
      continue;
    }
    // What it has done since is told by comparing with it, so it stays (rule D13).
    tops.add(fork);
    for (const layer of keeps) {
      if (layers.has(layer)) tops.add(layer);
      else state.add('B6', `the layer ${layer} that it keeps for merges does not exist`, where);
    }
    if (layers.get(fork)?.state === 'open')
      state.add('B2', `the layer ${fork} that it was forked from takes changes`, where);
  }
}

/** Rule M2: a merge names the layers that it comes from, and the other one is kept. */
function checkMerges(
  reader: StoreReader,
  state: CheckState,
  { layers, branches, tops, isTree }: CheckedCatalog,
): void {
  for (const { layer, from, branch, into } of meta<MergeRecord[]>(reader, 'merges') ?? []) {
    const where = `the merge of ${branch} into ${into}`;
    for (const name of [branch, into]) {
      if (name !== MAIN_BRANCH && !branches.has(name)) {
        state.add('M2', `there is no branch ${name}`, where);
      }
    }
    if (!layers.has(layer)) state.add('M2', `its layer ${layer} does not exist`, where);
    const other = layers.get(from);
    if (other?.state === 'sealed' || other?.state === 'base') {
      if (isTree) tops.add(from);
    } else state.add('M2', `the layer ${from} that was merged is not there, sealed`, where);
  }
  const merging = meta<number>(reader, 'merging');
  if (merging === undefined) return;
  if (layers.get(merging)?.state !== 'staging') {
    state.add('M5', `the layer ${merging} is not one that is being made`, 'meta/merging');
  }
}

function checkFilesets(reader: StoreReader, state: CheckState, catalog: CheckedCatalog): void {
  for (const { key, value } of reader.range(TABLE.filesets, undefined, undefined)) {
    const where = `fileset ${key.length === 4 ? key.readUInt32BE(0) : key.toString('hex')}`;
    state.guard('D7', where, () => {
      const { openLayer } = decodeJson<{ openLayer: number }>(value, where);
      const number = key.readUInt32BE(0);
      catalog.filesets.add(number);
      const layer = catalog.layers.get(openLayer);
      if (layer === undefined || layer.state !== 'open' || layer.fileset !== number) {
        state.add('D7', `the layer ${openLayer} is not its open layer`, where);
      }
    });
  }
  if (!catalog.filesets.has(ROOT_FILESET)) {
    state.add('D7', 'the root fileset is missing', `fileset ${ROOT_FILESET}`);
    catalog.filesets.add(ROOT_FILESET);
  }
  for (const { number, fileset } of catalog.layers.values()) {
    if (!catalog.filesets.has(fileset)) {
      state.add('D7', `the fileset ${fileset} does not exist`, `layer ${number}`);
    }
  }
}

interface StoredSnapshot {
  layer: number;
  uuid: string;
  kind: string;
  note?: string;
}

function checkSnapshots(reader: StoreReader, state: CheckState, catalog: CheckedCatalog): void {
  const uuids = new Set<string>();
  for (const { key, value } of reader.range(TABLE.snapshots, undefined, undefined)) {
    const where = `snapshot ${key.toString()}`;
    state.guard('D7', where, () => {
      const record = decodeJson<StoredSnapshot>(value, where);
      const layer = catalog.layers.get(record.layer);
      if (layer === undefined) {
        state.add('D7', `its layer ${record.layer} does not exist`, where);
        return;
      }
      catalog.tops.add(record.layer);
      if (layer.state === 'open') state.add('D1', `its layer ${record.layer} is open`, where);
      if (!KINDS.has(record.kind)) {
        state.add('D7', `its kind is ${String(record.kind)}`, where);
      }
      const objection = record.note === undefined ? undefined : noteObjection(record.note);
      if (objection !== undefined) state.add('D7', `its note: ${objection}`, where);
      if (uuids.has(record.uuid)) state.add('D7', 'another snapshot has its uuid', where);
      uuids.add(record.uuid);
    });
  }
}

/** The sequence has no gap, and the counter is above it. */
function checkHistory(reader: StoreReader, state: CheckState, catalog: CheckedCatalog): void {
  let expected: number | undefined;
  for (const { key, value } of reader.range(TABLE.history, undefined, undefined)) {
    if (key.length !== 6) {
      state.add('D8', 'a key is not a sequence number', `history ${key.toString('hex')}`);
      continue;
    }
    const sequence = key.readUIntBE(0, 6);
    const where = `history ${sequence}`;
    if (expected !== undefined && sequence !== expected) {
      state.add('D8', `the record ${expected} is missing before it`, where);
    }
    expected = sequence + 1;
    state.guard('D8', where, () => {
      const record = decodeJson<Record<string, unknown>>(value, where);
      if (typeof record['command'] !== 'string' || !isCount(record['layer'])) {
        state.add('D8', 'the record lacks command or layer', where);
      } else if (record['layer'] >= Math.max(catalog.nextLayer, 1)) {
        state.add('D8', `the layer ${record['layer']} was never given out`, where);
      }
    });
  }
  const next = meta<number>(reader, 'nextHistory');
  if (!isCount(next) || (expected !== undefined && next < expected)) {
    state.add('D8', `the counter ${String(next)} is not above the history`, 'meta/nextHistory');
  } else if (reader.has(TABLE.history, layerKey(Math.min(next, MAX_LAYER)))) {
    state.add('D8', `the record ${next} exists already`, 'meta/nextHistory');
  }
}

/** Every record decodes; no two peers share a name or a certificate. */
function checkPeers(reader: StoreReader, state: CheckState): void {
  const names = new Set<string>();
  const fingerprints = new Set<string>();
  for (const { key, value } of reader.range(TABLE.peers, undefined, undefined)) {
    const where = `peers ${key.toString()}`;
    state.guard('D7', where, () => {
      const stored = decodePeering(key, value);
      if (stored.kind !== 'peer') return;
      const { name, fingerprint } = stored.peer;
      if (names.has(name)) state.add('D7', `another peer has the name ${name}`, where);
      if (fingerprints.has(fingerprint)) state.add('D7', 'another peer has its certificate', where);
      names.add(name);
      fingerprints.add(fingerprint);
    });
  }
}
