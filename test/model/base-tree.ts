/** Base directories for the model, and what they hold as the model says it. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALLOCATOR, inodeNumber, ROOT_INODE } from '../../src/format/records/tables.js';
import type { Random } from './random.js';
import type { Inodes, ModelInode } from './plain-model.js';

/** A tree with hard links, symlinks, sparse and large files, attributes. Returns its path. */
export function makeBase(random: Random): string {
  const root = fs.mkdtempSync(join(tmpdir(), 'shadowfs-model-base-'));
  const at = (path: string): string => join(root, path);
  for (const directory of ['d', 'd/deep', 'd/deep/er', 'empty', 'e']) fs.mkdirSync(at(directory));
  const file = (path: string, size: number): void => fs.writeFileSync(at(path), random.bytes(size));
  file('a', 10);
  file('b', 4096);
  file('c', 4097);
  file('d/a', 3 * 4096);
  file('d/b', 20_000);
  file('d/deep/c', 5000);
  file('d/deep/er/f', 12_288 + 5);
  file('e/empty', 0);
  file('e/large', 300_000);
  for (let i = 0; i < 12; i++) file(`e/n${i}`, random.below(9000));
  const sparse = fs.openSync(at('d/sparse'), 'w');
  fs.ftruncateSync(sparse, 2 * 1024 * 1024 + 77);
  fs.writeSync(sparse, random.bytes(5000), 0, 5000, 40_000);
  fs.writeSync(sparse, random.bytes(9000), 0, 9000, 1_500_000);
  fs.closeSync(sparse);
  const holes = { 'd/hollow': 50_000, 'd/hollow2': 50_000, huge: 2 ** 40 };
  for (const [name, size] of Object.entries(holes)) {
    fs.writeFileSync(at(name), '');
    fs.truncateSync(at(name), size);
  }
  fs.linkSync(at('d/a'), at('e/link'));
  fs.linkSync(at('d/a'), at('hard'));
  fs.symlinkSync('d/a', at('soft'));
  fs.symlinkSync('../nowhere', at('d/dangling'));
  fs.chmodSync(at('c'), 0o4750);
  const script = 'import os,sys\nfor p in sys.argv[1:]:\n os.setxattr(p,"user.x",b"base")\n';
  execFileSync('python3', ['-c', `${script} os.setxattr(p,"user.y",b"")`, at('a'), at('d')]);
  return root;
}

/** What a base directory holds. */
export function baseInodes(root: string, blockSize: number): Inodes {
  const inodes: Inodes = new Map();
  const add = (path: string, isRoot: boolean): number => {
    const stat = fs.lstatSync(path, { bigint: true });
    const ino = isRoot ? ROOT_INODE : inodeNumber(ALLOCATOR.base, Number(stat.ino));
    if (inodes.has(ino)) return ino;
    const time = (ns: bigint): { s: number; ns: number } => ({
      s: Number(ns / 1_000_000_000n),
      ns: Number(ns % 1_000_000_000n),
    });
    const inode: ModelInode = {
      ino,
      mode: Number(stat.mode),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      rdev: Number(stat.rdev),
      nlink: Number(stat.nlink),
      size: Number(stat.size),
      atime: time(stat.atimeNs),
      mtime: time(stat.mtimeNs),
      ctime: time(stat.ctimeNs),
      blocks: new Map(),
      xattrs: new Map(),
      names: new Map(),
      target: stat.isSymbolicLink() ? fs.readlinkSync(path, 'latin1') : undefined,
      fromBase: true,
    };
    inodes.set(ino, inode);
    if (stat.isDirectory()) {
      for (const name of fs.readdirSync(path)) {
        inode.names.set(name, add(join(path, name), false));
      }
    }
    // What is too large to be read has holes only.
    if (stat.isFile() && stat.size < 2 ** 26) takeBlocks(inode, fs.readFileSync(path), blockSize);
    return ino;
  };
  add(root, true);
  for (const path of ['a', 'd']) {
    const ino = inodes.get(ROOT_INODE)?.names.get(path) ?? 0;
    inodes.get(ino)?.xattrs.set('user.x', 'base').set('user.y', '');
  }
  return inodes;
}

function takeBlocks(inode: ModelInode, bytes: Buffer, blockSize: number): void {
  for (let at = 0; at < bytes.length; at += blockSize) {
    const block = Buffer.alloc(blockSize);
    bytes.copy(block, 0, at, Math.min(at + blockSize, bytes.length));
    if (block.some((byte) => byte !== 0)) inode.blocks.set(at / blockSize, block);
  }
}
