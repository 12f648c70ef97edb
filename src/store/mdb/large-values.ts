/**
 * The large values of a table in key order, with where they lie, read from
 * `data.mdb` without LMDB. Right only while no transaction commits.
 */
import { readSync } from 'node:fs';
import { DamagedFile } from './file.js';
import { MAX_DEPTH, nodeCount } from './layout.js';
import {
  branchIndex,
  childPage,
  isLeaf,
  isTreePage,
  LeafRecord,
  leafIndex,
  type ValueSpan,
} from './tree-page.js';

interface LargeValue extends ValueSpan {
  key: Buffer;
}

/** Those with keys from `from` on; `root` as LMDB says. Throws DamagedFile. */
export function* largeValues(
  fd: number,
  pageBytes: number,
  root: number,
  from: Buffer,
  depth = 0,
): Generator<LargeValue> {
  const page = Buffer.allocUnsafe(pageBytes);
  const count = readSync(fd, page, 0, pageBytes, root * pageBytes);
  if (count < pageBytes || !isTreePage(page, root) || depth > MAX_DEPTH) {
    throw new DamagedFile(`page ${root} is not a page of a tree`);
  }
  const first = (isLeaf(page) ? leafIndex(page, from) : branchIndex(page, from)) ?? nodeCount(page);
  const record = new LeafRecord();
  for (let index = first; index < nodeCount(page); index++) {
    if (isLeaf(page)) {
      if (!record.load(page, index)) throw new DamagedFile('a node lies outside its page');
      const { span, keyStart, keyEnd } = record;
      if (span !== undefined) yield { ...span, key: Buffer.from(page.subarray(keyStart, keyEnd)) };
    } else {
      const child = childPage(page, index);
      if (child === undefined) throw new DamagedFile('a node lies outside its page');
      yield* largeValues(fd, pageBytes, child, from, depth + 1);
    }
  }
}
