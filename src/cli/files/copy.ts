/**
 * One file as it is in a snapshot, brought to another place by ordinary calls:
 * content with its holes, owner, mode, extended attributes, ACLs, times. Paths
 * are texts of any bytes; symbolic links are not followed.
 *
 * What must hold: a file that is there keeps its inode, and only those pieces of
 * it are written that differ.
 */
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  fchmodSync,
  ftruncateSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { byteStringOfText, fsPath } from '../../lib/byte-text.js';
import { ERRNO } from '../../lib/errors.js';
import { AT_FDCWD } from '../../libc/constants.js';
import { lremovexattr, lsetxattr, mknodat, utimensat } from '../../libc/files.js';
import { fallocate, lseek } from '../../libc/libc.js';
import { fsError } from '../../libc/library.js';
import { lgetxattr, llistxattr } from '../../libc/xattrs.js';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const PUNCH_HOLE_KEEP_SIZE = 3;
const PIECE_BYTES = 1024 * 1024;
const COMPARED_BYTES = 4096;
const SHADOW_ATTRIBUTES = 'user.shadowfs.';
const RUNS = 'user.shadowfs.runs';

const piece = Buffer.allocUnsafe(PIECE_BYTES);
const other = Buffer.allocUnsafe(PIECE_BYTES);

interface Range {
  offset: number;
  length: number;
}

export function statOf(path: string): BigIntStats | undefined {
  return lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false });
}

/** 0 or more; throws FsError for -errno. */
function done(answer: number, syscall: string, path: string): number {
  if (answer < 0) throw fsError(answer, syscall, path);
  return answer;
}

/** The parts of a file that are data. Where the file system can't tell, all of it. */
function* dataOf(fd: number, size: number): Generator<Range> {
  for (let at = 0; at < size; ) {
    const start = lseek(fd, at, SEEK_DATA);
    if (start === -ERRNO.ENXIO) return;
    const from = start < 0 ? at : start;
    const hole = start < 0 ? size : lseek(fd, from, SEEK_HOLE);
    const end = hole < 0 ? size : Math.min(hole, size);
    if (end > from) yield { offset: from, length: end - from };
    at = Math.max(end, from + 1);
  }
}

function fill(fd: number, into: Buffer, offset: number, length: number): number {
  let got = 0;
  while (got < length) {
    const count = readSync(fd, into, got, length - got, offset + got);
    if (count === 0) break;
    got += count;
  }
  return got;
}

function put(fd: number, from: Buffer, start: number, end: number, offset: number): void {
  for (let at = start; at < end; ) at += writeSync(fd, from, at, end - at, offset + at - start);
}

function copyData(from: number, to: number, size: number): void {
  for (const { offset, length } of dataOf(from, size)) {
    for (let at = 0; at < length; at += PIECE_BYTES) {
      const got = fill(from, piece, offset + at, Math.min(PIECE_BYTES, length - at));
      put(to, piece, 0, got, offset + at);
    }
  }
  ftruncateSync(to, size);
}

/** Makes the file, which is not there yet. Its attributes come later. */
export function makeFile(source: string, path: string, stat: BigIntStats): void {
  const mode = Number(stat.mode);
  if (stat.isSymbolicLink()) {
    symlinkSync(readlinkSync(fsPath(source), 'buffer'), fsPath(path));
  } else if (stat.isDirectory()) {
    mkdirSync(fsPath(path), 0o700);
  } else if (stat.isFile()) {
    const from = openSync(fsPath(source), 'r');
    try {
      const to = openSync(fsPath(path), 'wx', 0o600);
      try {
        copyData(from, to, Number(stat.size));
      } finally {
        closeSync(to);
      }
    } finally {
      closeSync(from);
    }
  } else {
    const kind = (mode & 0o170000) | 0o600;
    done(mknodat(AT_FDCWD, byteStringOfText(path), kind, Number(stat.rdev)), 'mknod', path);
  }
}

/** The ranges of a snapshot's file that the live one may not share, and its holes. Pure. */
export function unsharedRuns(text: string, size: number): (Range & { isHole: boolean })[] {
  const runs: (Range & { isHole: boolean })[] = [];
  let end = 0;
  for (const line of text.split('\n')) {
    const [offset, length, where] = line.split(' ');
    if (where === undefined) continue;
    end = Number(offset) + Number(length);
    if (where === 'shared') continue;
    runs.push({ offset: Number(offset), length: Number(length), isHole: where === 'hole' });
  }
  // Too many to be listed.
  if (text.endsWith('...\n')) runs.push({ offset: end, length: size - end, isHole: false });
  return runs.filter(({ offset }) => offset < size);
}

/** Gives a file that is there the content that it had; writes only what differs. */
export function fixContent(source: string, path: string, size: number): void {
  const from = openSync(fsPath(source), 'r');
  try {
    const to = openToWrite(path);
    try {
      ftruncateSync(to, size);
      const told = lgetxattr(byteStringOfText(source), RUNS);
      const runs =
        typeof told === 'number'
          ? [{ offset: 0, length: size, isHole: false }]
          : unsharedRuns(Buffer.from(told).toString(), size);
      for (const run of runs) fixRun(from, to, run, size);
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

function fixRun(from: number, to: number, run: Range & { isHole: boolean }, size: number): void {
  const end = Math.min(run.offset + run.length, size);
  if (run.isHole && fallocate(to, PUNCH_HOLE_KEEP_SIZE, run.offset, end - run.offset) === 0) return;
  for (let at = run.offset; at < end; at += PIECE_BYTES) {
    const wanted = Math.min(PIECE_BYTES, end - at);
    const got = fill(from, piece, at, wanted);
    other.fill(0, fill(to, other, at, wanted), wanted);
    for (let start = 0; start < got; start += COMPARED_BYTES) {
      const stop = Math.min(start + COMPARED_BYTES, got);
      if (piece.compare(other, start, stop, start, stop) !== 0)
        put(to, piece, start, stop, at + start);
    }
  }
}

/** A file of its owner may not be writable, which is no obstacle for the owner. */
function openToWrite(path: string): number {
  try {
    return openSync(fsPath(path), 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    const mode = Number(lstatSync(fsPath(path)).mode) & 0o7777;
    chmodSync(fsPath(path), mode | 0o600);
    const fd = openSync(fsPath(path), 'r+');
    fchmodSync(fd, mode);
    return fd;
  }
}

/** The names of the xattrs that a file has of its own. */
function attributesOf(path: string): string[] {
  const names = llistxattr(byteStringOfText(path));
  if (typeof names === 'number') {
    if (names === -ERRNO.EOPNOTSUPP) return [];
    throw fsError(names, 'listxattr', path);
  }
  return names.filter((name) => !name.startsWith(SHADOW_ATTRIBUTES));
}

function fixAttributes(source: string, path: string): void {
  const [from, to] = [byteStringOfText(source), byteStringOfText(path)];
  const names = attributesOf(source);
  for (const name of attributesOf(path)) {
    if (!names.includes(name)) done(lremovexattr(to, name), 'removexattr', path);
  }
  for (const name of names) {
    const value = lgetxattr(from, name);
    if (typeof value === 'number') throw fsError(value, 'getxattr', source);
    const now = lgetxattr(to, name);
    if (typeof now !== 'number' && Buffer.compare(now, value) === 0) continue;
    done(lsetxattr(to, name, value), 'setxattr', path);
  }
}

const NS = 1_000_000_000n;

function giveTo(path: string, uid: number, gid: number): void {
  try {
    lchownSync(fsPath(path), uid, gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    const what = `it belongs to user ${uid} and group ${gid}, and only root may make it so again`;
    throw Object.assign(new Error(what), { code: 'EPERM' });
  }
}

/** Owner, xattrs, mode and times, in an order in which none undoes another. */
export function giveAttributes(source: string, path: string, stat: BigIntStats): void {
  const now = lstatSync(fsPath(path), { bigint: true });
  if (now.uid !== stat.uid || now.gid !== stat.gid) {
    giveTo(path, Number(stat.uid), Number(stat.gid));
  }
  fixAttributes(source, path);
  if (!stat.isSymbolicLink()) chmodSync(fsPath(path), Number(stat.mode) & 0o7777);
  const { atimeNs, mtimeNs } = stat;
  const seconds = (ns: bigint): number => Number((ns - (((ns % NS) + NS) % NS)) / NS);
  const rest = (ns: bigint): number => Number(((ns % NS) + NS) % NS);
  const times = {
    atimeS: seconds(atimeNs),
    atimeNs: rest(atimeNs),
    mtimeS: seconds(mtimeNs),
    mtimeNs: rest(mtimeNs),
  };
  done(utimensat(AT_FDCWD, byteStringOfText(path), times), 'utimensat', path);
}
