/**
 * What a merge may and must do, said plainly over three trees: by inode number,
 * name by name and field by field. And the merged tree, read back from the
 * volume, so that the model goes on with it.
 */
import { isData } from '../../src/volume/files/block-map.js';
import { ROOT_INODE } from '../../src/format/records/tables.js';
import type { Inode } from '../../src/volume/inode.js';
import type { View } from '../../src/volume/view.js';
import type { Volume } from '../../src/volume/volume.js';
import { type Inodes, isDirectory, isRegular, type ModelInode } from './plain-model.js';

export interface ThreeTrees {
  base: Inodes;
  ours: Inodes;
  theirs: Inodes;
}

const named = (inodes: Inodes, ino: number): ModelInode | undefined => {
  const inode = inodes.get(ino);
  return inode === undefined || inode.nlink === 0 ? undefined : inode;
};

function child(inodes: Inodes, directory: number, name: string): number {
  return named(inodes, directory)?.names.get(name) ?? 0;
}

function* allNames({ base, ours, theirs }: ThreeTrees): Generator<[number, string]> {
  const seen = new Set<string>();
  for (const inodes of [base, ours, theirs]) {
    for (const { ino, names } of inodes.values()) {
      for (const name of names.keys()) {
        const key = `${ino}/${name}`;
        if (!seen.has(key)) yield [ino, name];
        seen.add(key);
      }
    }
  }
}

/** Two numbers stand for one file somewhere: then numbers alone don't say what must be. */
export function hasTwins(trees: ThreeTrees): boolean {
  const { base, ours, theirs } = trees;
  for (const [directory, name] of allNames(trees)) {
    const [b, o, t] = [base, ours, theirs].map((inodes) => child(inodes, directory, name));
    const isNew = (ino = 0): boolean => ino !== 0 && named(base, ino) === undefined;
    if (isNew(o) || isNew(t)) {
      if (o !== t && isNew(o) && isNew(t)) return true;
      if (b !== undefined && b !== 0) return true;
    }
  }
  // A file that our side does not have is looked for by its place.
  for (const ino of [...base.keys(), ...theirs.keys()]) {
    if (named(ours, ino) === undefined && [...ours.keys()].some((one) => !base.has(one))) {
      return true;
    }
  }
  return false;
}

function bytesOf({ blocks, size }: ModelInode): string {
  const kept = [...blocks].filter(([, bytes]) => bytes.some((byte) => byte !== 0));
  return JSON.stringify([
    size,
    kept.sort(([a], [b]) => a - b).map(([i, b]) => [i, b.toString('latin1')]),
  ]);
}

const FIELDS: Readonly<Record<string, (inode: ModelInode) => string>> = {
  mode: ({ mode }) => String(mode),
  owner: ({ uid, gid }) => `${uid} ${gid}`,
  device: ({ rdev }) => String(rdev),
  target: ({ target }) => target ?? '',
  content: (inode) => (isRegular(inode) ? bytesOf(inode) : ''),
  xattrs: ({ xattrs }) => JSON.stringify([...xattrs].sort()),
};

/**
 * Compares a merged tree with the three: where only one side changed, that side counts. `kept`: with
 * conflicts, the side that is resolved in favour of; what the other side did not change is as there.
 */
export function* wrongInMerge(
  trees: ThreeTrees,
  merged: Inodes,
  kept?: 'ours' | 'theirs',
): Generator<string> {
  yield* wrongNames(trees, merged, kept);
  yield* wrongFields(trees, merged, kept);
}

/** `mine`: the side that counts in a conflict. */
function sidesOf(
  { base, ours, theirs }: ThreeTrees,
  kept: 'ours' | 'theirs' | undefined,
): Record<'base' | 'mine' | 'other', Inodes> {
  return kept === 'theirs'
    ? { base, mine: theirs, other: ours }
    : { base, mine: ours, other: theirs };
}

function* wrongNames(
  trees: ThreeTrees,
  merged: Inodes,
  kept: 'ours' | 'theirs' | undefined,
): Generator<string> {
  const { base, mine, other } = sidesOf(trees, kept);
  for (const [directory, name] of allNames(trees)) {
    if (named(merged, directory) === undefined) continue;
    const was = child(base, directory, name);
    const there = child(other, directory, name);
    const here = child(mine, directory, name);
    const got = child(merged, directory, name);
    if (there === was || kept === undefined) {
      const wanted = there === was ? here : there;
      if (got !== wanted) yield `${directory}/${name} leads to ${got}, expected ${wanted}`;
      if (kept === undefined && there !== was && here !== was && here !== there) {
        yield `${directory}/${name} is in conflict`;
      }
    }
  }
}

function* wrongFields(
  trees: ThreeTrees,
  merged: Inodes,
  kept: 'ours' | 'theirs' | undefined,
): Generator<string> {
  const { base, mine, other } = sidesOf(trees, kept);
  for (const [ino, got] of merged) {
    const [was, there, here] = [base, other, mine].map((inodes) => named(inodes, ino));
    if (got.nlink === 0) continue;
    for (const [field, of] of Object.entries(FIELDS)) {
      const text = (inode: ModelInode | undefined) => (inode === undefined ? undefined : of(inode));
      const [b, t, o] = [text(was), text(there), text(here)];
      if (o === undefined || (b !== undefined && t === undefined)) continue;
      if (t === b || t === undefined) {
        if (of(got) !== o) yield `${field} of ${ino} is not ours`;
      } else if (kept === undefined && field !== 'xattrs' && o === b && of(got) !== t) {
        yield `${field} of ${ino} is not theirs`;
      }
    }
  }
}

/** The live tree as the volume has it. Blocks that the model knows stay the same buffers. */
export function readTree(
  volume: Volume,
  view: View,
  known: readonly Inodes[],
  blockSize: number,
): Inodes {
  const tree: Inodes = new Map();
  const visit = (inode: Inode): void => {
    if (tree.has(inode.ino)) return;
    const model = modelOf(volume, view, inode, known, blockSize);
    tree.set(inode.ino, model);
    if (!isDirectory(model)) return;
    volume.list(view, inode, 0, (name, ino) => {
      model.names.set(name, ino);
      return true;
    });
    for (const name of model.names.keys()) {
      const found = volume.lookup(view, inode, name);
      if (found === undefined) throw new Error(`${name} leads nowhere`);
      visit(found);
    }
  };
  visit(volume.inode(view, ROOT_INODE) as Inode);
  return tree;
}

function modelOf(
  volume: Volume,
  view: View,
  inode: Inode,
  known: readonly Inodes[],
  blockSize: number,
): ModelInode {
  const { ino, mode, uid, gid, rdev, nlink, size, target } = inode;
  const time = (s: number, ns: number) => ({ s, ns });
  const xattrs = new Map<string, string>();
  for (const name of volume.listAttributes(view, inode)) {
    const value = volume.readAttribute(view, inode, name) as Uint8Array;
    xattrs.set(name, Buffer.from(value).toString('latin1'));
  }
  // As the base has it: looking at it may have changed its access time. Others may have changed it.
  const isUntouched = (one: ModelInode | undefined): boolean =>
    one !== undefined && one.ctime.s === inode.ctimeS && one.ctime.ns === inode.ctimeNs;
  const all = inode.layer === 0 ? known.map((inodes) => inodes.get(ino)) : [];
  const before = all.find(isUntouched);
  if (before !== undefined) {
    return { ...before, blocks: new Map(before.blocks), xattrs, names: new Map() };
  }
  const sample = known.find((inodes) => inodes.has(ino))?.get(ino);
  const atime = inode.base === undefined ? undefined : sample?.atime;
  return {
    // Inodes are compared as text, in which the order of the fields counts.
    ...sample,
    ino,
    mode,
    uid,
    gid,
    rdev,
    nlink,
    size,
    atime: atime ?? time(inode.atimeS, inode.atimeNs),
    mtime: time(inode.mtimeS, inode.mtimeNs),
    ctime: time(inode.ctimeS, inode.ctimeNs),
    blocks: inode.isRegular ? blocksOf(volume, view, inode, known, blockSize) : new Map(),
    xattrs,
    names: new Map(),
    target,
    fromBase: inode.base !== undefined,
  };
}

function blocksOf(
  volume: Volume,
  view: View,
  inode: Inode,
  known: readonly Inodes[],
  blockSize: number,
): Map<number, Buffer> {
  const { blocks: map } = volume;
  const indexes = new Set<number>();
  // A sparse file of the base has very many blocks; where bytes are, the model has known from the start.
  const inBase = map.baseBlocks(inode);
  for (const inodes of known) {
    for (const index of inodes.get(inode.ino)?.blocks.keys() ?? []) {
      if (index < inBase) indexes.add(index);
    }
  }
  for (const { index, source } of map.recorded(view, inode, 0)) {
    if (isData(source)) indexes.add(index);
    else indexes.delete(index);
  }
  const found = new Map<number, Buffer>();
  for (const index of [...indexes].sort((a, b) => a - b)) {
    const offset = index * blockSize;
    if (offset >= inode.size) continue;
    const bytes = Buffer.alloc(blockSize);
    const length = Math.min(blockSize, inode.size - offset);
    volume.read(view, inode, offset, length, bytes, 0);
    const blocks = known.map((inodes) => inodes.get(inode.ino)?.blocks.get(index));
    const same = blocks.find((block) => block?.equals(bytes) === true);
    // A punch of a part stores zeros, which the model has as a hole.
    const isHole = same === undefined && blocks.every((block) => block === undefined);
    if (!isHole || bytes.some((byte) => byte !== 0)) found.set(index, same ?? bytes);
  }
  return found;
}
