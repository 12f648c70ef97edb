/**
 * Compares what a volume shows in a view with what the model says, completely:
 * names, attributes, contents (bytes, holes, the figures' walk), xattrs, link
 * counts, paths. Throws at the first difference.
 */
import assert from 'node:assert/strict';
import { nameHash } from '../../src/format/records/name-hash.js';
import { ROOT_INODE } from '../../src/format/records/tables.js';
import type { Inode } from '../../src/volume/inode.js';
import type { View } from '../../src/volume/view.js';
import type { Volume } from '../../src/volume/volume.js';
import { compareLocks } from './model-locks.js';
import {
  type Inodes,
  isDirectory,
  isRegular,
  type ModelInode,
  type PlainModel,
} from './plain-model.js';
import type { VolumeRun } from './volume-run.js';

/** Files up to here are read whole. */
const WHOLE_BYTES = 256 * 1024;
/** Base files are not compared block by block in huge sparse holes. */
const MAX_SEGMENTS = 400;
const out = Buffer.alloc(WHOLE_BYTES + 4096);

interface Compared {
  volume: Volume;
  model: PlainModel;
  view: View;
  inodes: Inodes;
  snapshot: 'live' | 'pinned' | { name: string };
  where: string;
}

/** The live view, every snapshot and every pinned view. */
export function compareAll(run: VolumeRun): void {
  const { volume, model, known } = run;
  compareLive(run);
  compareLocks(run);
  assert.deepEqual(
    volume.snapshots().map(({ name, kind, layer }) => ({ name, kind, layer })),
    model.snapshots
      .map(({ name, kind, layer }) => ({ name, kind, layer }))
      .sort((a, b) => a.layer - b.layer),
    'the list of snapshots',
  );
  for (const { name, inodes } of model.snapshots) {
    const snapshot = volume.snapshot(name);
    assert.ok(snapshot, `snapshot ${name}`);
    const view = volume.viewOf(snapshot);
    compareView({ volume, model, view, inodes, snapshot: { name }, where: `in ${name}` }, known);
  }
  for (const [branch, mount] of run.mounts) {
    if (branch === model.focus) continue;
    const what = { volume: mount, model, view: mount.live, snapshot: 'pinned' } as const;
    const inodes = model.inodesOf(branch);
    compareView({ ...what, inodes, where: `on branch ${branch}` }, known);
  }
  for (const { view, inodes } of run.pinned) {
    for (const pinned of [view, volume.viewAt(view.top)]) {
      const where = `in pinned ${view.top}`;
      compareView({ volume, model, view: pinned, inodes, snapshot: 'pinned', where }, known);
    }
  }
}

export function compareLive({ volume, model, known }: VolumeRun): void {
  const { live } = model;
  const what = { volume, model, view: volume.live, inodes: live, snapshot: 'live' } as const;
  compareView({ ...what, where: 'live' }, known);
}

function compareView(what: Compared, known: ReadonlySet<number>): void {
  const { volume, view, inodes, where } = what;
  const root = volume.inode(view, ROOT_INODE);
  assert.ok(root, `the root ${where}`);
  const reached = new Set<number>([ROOT_INODE]);
  compareDirectory(what, root, reached);
  for (const inode of inodes.values()) {
    const found = volume.inode(view, inode.ino);
    assert.ok(found, `inode ${inode.ino} ${where}`);
    if (inode.nlink > 0) {
      assert.ok(reached.has(inode.ino), `inode ${inode.ino} has a name ${where}`);
      comparePath(what, inode);
    }
    compareInode(what, inode, found);
  }
  for (const ino of known) {
    if (!inodes.has(ino)) {
      assert.equal(volume.inode(view, ino), undefined, `no inode ${ino} ${where}`);
    }
  }
}

function compareDirectory(what: Compared, directory: Inode, reached: Set<number>): void {
  const { volume, view, inodes } = what;
  const where = `directory ${directory.ino} ${what.where}`;
  const model = inodes.get(directory.ino);
  assert.ok(model, `${where} is known`);
  const found = new Map<string, number>();
  let last = '';
  const visit = (name: string, ino: number, type: number, hash: number): boolean => {
    assert.equal(hash, nameHash(name));
    const order = `${hash.toString(16).padStart(14, '0')} ${name}`;
    assert.ok(order > last, `${where}: in order at ${name}`);
    last = order;
    found.set(name, ino);
    const child = inodes.get(ino);
    if (child !== undefined) assert.equal(type, child.mode >>> 12, `type of ${name} in ${where}`);
    return true;
  };
  // Inodes that were read with the listing are compared like those that were looked up.
  volume.list(view, directory, 0, visit, directory.ino % 2 === 0);
  assert.deepEqual([...found].sort(), [...model.names].sort(), `names of ${where}`);
  for (const [name, ino] of found) {
    const child = volume.lookup(view, directory, name);
    assert.equal(child?.ino, ino, `lookup of ${name} in ${where}`);
    if (child === undefined || reached.has(ino)) continue;
    reached.add(ino);
    if (child.isDirectory) compareDirectory(what, child, reached);
  }
}

function compareInode(what: Compared, model: ModelInode, found: Inode): void {
  const { volume, view } = what;
  const where = `inode ${model.ino} ${what.where}`;
  const { atimeS, atimeNs, mtimeS, mtimeNs, ctimeS, ctimeNs } = found;
  const { mode, uid, gid, rdev, nlink, size, target } = found;
  assert.deepEqual(
    { mode, uid, gid, rdev, nlink, size, target },
    {
      mode: model.mode,
      uid: model.uid,
      gid: model.gid,
      rdev: model.rdev,
      nlink: model.nlink,
      size: model.size,
      target: model.target,
    },
    where,
  );
  assert.deepEqual(
    { mtime: { s: mtimeS, ns: mtimeNs }, ctime: { s: ctimeS, ns: ctimeNs } },
    { mtime: model.mtime, ctime: model.ctime },
    `times of ${where}`,
  );
  if (!model.fromBase) assert.deepEqual({ s: atimeS, ns: atimeNs }, model.atime, where);
  const names = volume.listAttributes(view, found).filter((name) => name.startsWith('user.'));
  assert.deepEqual(names.sort(), [...model.xattrs.keys()].sort(), `xattrs of ${where}`);
  for (const [name, value] of model.xattrs) {
    const read = volume.readAttribute(view, found, name);
    const text = read === undefined ? undefined : Buffer.from(read).toString('latin1');
    assert.equal(text, value, `xattr ${name} of ${where}`);
  }
  if (isRegular(model)) compareContent(what, model, found);
}

function comparePath(what: Compared, model: ModelInode): void {
  // A base file with several names may have lost the one that is known.
  if (model.fromBase && model.nlink > 1) return;
  const path = what.volume.pathOf(what.view, model.ino);
  if (path === undefined && model.fromBase && !isDirectory(model)) return;
  let ino: number | undefined = ROOT_INODE;
  for (const name of path === '' ? [] : (path ?? '?').split('/')) {
    ino = what.inodes.get(ino ?? 0)?.names.get(name);
  }
  assert.equal(ino, model.ino, `path ${path} of inode ${model.ino} ${what.where}`);
}

function compareContent(what: Compared, model: ModelInode, found: Inode): void {
  if (found.allocated === 0) {
    assert.ok(!hasData(model), `inode ${model.ino} ${what.where} has data but no blocks`);
  }
  if (model.size <= WHOLE_BYTES) {
    compareRange(what, model, found, 0, model.size + 100);
  } else {
    const blockSize = what.model.blockSize;
    const indices = new Set([...model.blocks.keys(), ...what.model.figures.indices(model.ino)]);
    for (const index of indices) {
      const start = Math.max(0, index * blockSize - 10);
      if (start < model.size) compareRange(what, model, found, start, blockSize + 20);
    }
    compareRange(what, model, found, model.size - 5000, 5100);
  }
  compareHoles(what, model, found);
}

function hasData(model: ModelInode): boolean {
  return [...model.blocks.values()].some((block) => block.some((byte) => byte !== 0));
}

function compareRange(
  what: Compared,
  model: ModelInode,
  found: Inode,
  offset: number,
  length: number,
): void {
  const { volume, view } = what;
  const where = `inode ${model.ino} from ${offset} ${what.where}`;
  out.fill(0xee);
  const got = volume.read(view, found, offset, length, out, 0);
  const expected = Math.max(0, Math.min(length, model.size - offset));
  assert.equal(got, expected, `length of ${where}`);
  if (got === 0) return;
  const bytes = out.subarray(0, got);
  requireEqual(bytes, what.model.bytes(model, offset, got), where);
  if (what.snapshot === 'pinned') return;
  requireEqual(bytes, figureBytes(what, model.ino, offset, got), `Fig 10: ${where}`);
}

function requireEqual(found: Buffer, expected: Buffer, where: string): void {
  if (found.equals(expected)) return;
  const at = found.findIndex((byte, i) => byte !== expected[i]);
  const show = (bytes: Buffer): string => bytes.subarray(at, at + 8).toString('hex');
  throw new Error(`bytes of ${where}: at +${at} ${show(found)}, expected ${show(expected)}`);
}

/** The range as the figures' walk reads it, block by block. */
function figureBytes(what: Compared, ino: number, offset: number, length: number): Buffer {
  const { figures, blockSize } = what.model;
  const bytes = Buffer.alloc(length);
  const last = Math.floor((offset + length - 1) / blockSize);
  for (let index = Math.floor(offset / blockSize); index <= last; index++) {
    const block =
      typeof what.snapshot === 'object'
        ? figures.read(what.snapshot.name, ino, index)
        : figures.readSource(ino, index);
    const start = index * blockSize - offset;
    block?.copy(bytes, Math.max(start, 0), Math.max(-start, 0));
  }
  return bytes;
}

/** What `seek` calls a hole has no data; the segments alternate and go forward. */
function compareHoles(what: Compared, model: ModelInode, found: Inode): void {
  const { volume, view } = what;
  const { blockSize } = what.model;
  const where = `inode ${model.ino} ${what.where}`;
  const segments: { data: number; hole: number }[] = [];
  let at = 0;
  while (at < model.size && segments.length < MAX_SEGMENTS) {
    let data: number;
    try {
      data = volume.seek(view, found, at, 'data');
    } catch {
      at = model.size;
      break;
    }
    const hole = volume.seek(view, found, data, 'hole');
    assert.ok(data >= at && hole > data && hole <= model.size, `seek in ${where}`);
    segments.push({ data, hole });
    at = hole;
  }
  for (const [index, block] of model.blocks) {
    const start = index * blockSize;
    if (start >= at || segments.some(({ data, hole }) => data <= start && start < hole)) continue;
    assert.ok(!block.some((byte) => byte !== 0), `seek skips block ${index} of ${where}`);
  }
}

/**
 * `changes` between two stored views tells every inode and every name that
 * differs (it may tell more).
 */
export function compareChanges(run: VolumeRun, from: ModelView, to: ModelView): void {
  const inodes = new Set<number>();
  const names = new Set<string>();
  for (const change of run.volume.changes(from.view, to.view)) {
    if (change.kind === 'inode') inodes.add(change.ino);
    else names.add(`${change.directory}/${change.name}`);
  }
  for (const ino of new Set([...from.inodes.keys(), ...to.inodes.keys()])) {
    const [before, after] = [from.inodes.get(ino), to.inodes.get(ino)];
    const where = `between layers ${from.view.top} and ${to.view.top}`;
    if (differ(before, after)) assert.ok(inodes.has(ino), `change of inode ${ino} ${where}`);
    // The names of a directory that came or went are not told.
    if (before === undefined || after === undefined) continue;
    for (const name of new Set([...before.names.keys(), ...after.names.keys()])) {
      if (before.names.get(name) === after.names.get(name)) continue;
      assert.ok(names.has(`${ino}/${name}`), `change of name ${name} in ${ino} ${where}`);
    }
  }
}

export interface ModelView {
  view: View;
  inodes: Inodes;
}

/** The blocks are never changed in place: the same bytes are the same buffer. */
function differ(a: ModelInode | undefined, b: ModelInode | undefined): boolean {
  if (a === undefined || b === undefined) return a !== b;
  const plain = ({ blocks, names, xattrs, ...rest }: ModelInode): string =>
    JSON.stringify([rest, [...xattrs].sort(), blocks.size]);
  return plain(a) !== plain(b) || [...a.blocks].some(([i, bytes]) => b.blocks.get(i) !== bytes);
}
