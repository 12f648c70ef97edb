/**
 * The bodies of requests, one decoder per structure of the protocol. Pure:
 * from a checked `Request` to a plain object. Throws `FsError` (EIO for a body
 * that is too short, EOVERFLOW or EFBIG for numbers of 2^53 and above).
 *
 * `Request` counts in 32-bit words: `word(2)` is body byte 8.
 */
import { FsError } from '../../lib/errors.js';
import type { AttributeChanges } from '../../tree/operations.js';
import { GETATTR_FH, SETXATTR_ACL_KILL_SGID, SetattrField, TARGET_MAX_BYTES } from './protocol.js';
import type { Request } from './request.js';

const PERMISSION_BITS = 0o7777;

export interface InitBody {
  major: number;
  minor: number;
  maxReadahead: number;
  flags: number;
  flags2: number;
}

export function decodeInit(request: Request): InitBody {
  request.need(8);
  const [major, minor] = [request.word(0), request.word(1)];
  // A kernel of another major version sends a body of another form.
  if (request.bodyBytes < 16) return { major, minor, maxReadahead: 0, flags: 0, flags2: 0 };
  return {
    major,
    minor,
    maxReadahead: request.word(2),
    flags: request.word(3),
    flags2: request.bodyBytes >= 20 ? request.word(4) : 0,
  };
}

export function decodeForget(request: Request): number {
  request.need(8);
  return request.long(0);
}

/** Calls `forget` for each pair; a count beyond the body is cut. */
export function decodeBatchForget(
  request: Request,
  forget: (node: number, count: number) => void,
): void {
  request.need(8);
  const count = Math.min(request.word(0), Math.floor((request.bodyBytes - 8) / 16));
  for (let i = 0; i < count; i++) forget(request.long(2 + 4 * i), request.long(4 + 4 * i));
}

/** The file handle in a GETATTR or STATX, if any. */
export function decodeGetattr(request: Request): number | undefined {
  request.need(16);
  return (request.word(0) & GETATTR_FH) !== 0 ? request.long(2) : undefined;
}

function decodeTime(request: Request, secondsAt: number, nanosecondsAt: number) {
  const ns = request.word(nanosecondsAt);
  if (ns >= 1e9) throw new FsError('EINVAL', 'setattr');
  return { s: request.signedLong(secondsAt), ns };
}

export function decodeSetattr(request: Request): {
  changes: AttributeChanges;
  fh: number | undefined;
} {
  request.need(88);
  const valid = request.word(0);
  const changes: AttributeChanges = {};
  if ((valid & SetattrField.MODE) !== 0) changes.mode = request.word(17) & PERMISSION_BITS;
  if ((valid & SetattrField.UID) !== 0) changes.uid = request.word(19);
  if ((valid & SetattrField.GID) !== 0) changes.gid = request.word(20);
  if ((valid & SetattrField.SIZE) !== 0) changes.size = request.fileOffset(4);
  if ((valid & SetattrField.ATIME) !== 0) {
    const now = (valid & SetattrField.ATIME_NOW) !== 0;
    changes.atime = now ? 'now' : decodeTime(request, 8, 14);
  }
  if ((valid & SetattrField.MTIME) !== 0) {
    const now = (valid & SetattrField.MTIME_NOW) !== 0;
    changes.mtime = now ? 'now' : decodeTime(request, 10, 15);
  }
  if ((valid & SetattrField.CTIME) !== 0) changes.ctime = decodeTime(request, 12, 16);
  // A chown that leaves owner and group unchanged arrives as an empty change, and the kernel leaves
  // its side effects to us. So does an allocation by an unprivileged user.
  const aside = SetattrField.FH | SetattrField.LOCKOWNER | SetattrField.CTIME;
  const changesNothing = (valid & ~aside) === 0;
  if (changesNothing || (valid & SetattrField.KILL_SUIDGID) !== 0) changes.killSetId = true;
  return { changes, fh: (valid & SetattrField.FH) !== 0 ? request.long(2) : undefined };
}

export function decodeSymlink(request: Request): { name: string; target: string } {
  const name = request.name(0);
  const target = request.string(name.length + 1);
  if (target === '') throw new FsError('ENOENT', 'symlink');
  if (target.length > TARGET_MAX_BYTES) throw new FsError('ENAMETOOLONG', 'symlink');
  return { name, target };
}

/** `umask`, here and below: already applied, unless DONT_MASK was negotiated. */
export interface MakeBody {
  name: string;
  mode: number;
  umask: number;
}

export function decodeMknod(request: Request): MakeBody & { rdev: number } {
  request.need(16);
  const [mode, rdev, umask] = [request.word(0), request.word(1), request.word(2)];
  return { mode, rdev, umask, name: request.name(16) };
}

export function decodeMkdir(request: Request): MakeBody {
  request.need(8);
  return { mode: request.word(0), umask: request.word(1), name: request.name(8) };
}

export interface RenameBody {
  newParent: number;
  name: string;
  newName: string;
  flags: number;
}

export function decodeRename(request: Request): RenameBody {
  request.need(8);
  const name = request.name(8);
  return {
    newParent: request.long(0),
    name,
    newName: request.name(8 + name.length + 1),
    flags: 0,
  };
}

export function decodeRename2(request: Request): RenameBody {
  request.need(16);
  const name = request.name(16);
  return {
    newParent: request.long(0),
    flags: request.word(2),
    name,
    newName: request.name(16 + name.length + 1),
  };
}

/** `node`: the file that gets another name; the request's own node is the new parent. */
export function decodeLink(request: Request): { node: number; newName: string } {
  request.need(8);
  return { node: request.long(0), newName: request.name(8) };
}

/** The open(2) flags of OPEN and OPENDIR. */
export function decodeOpen(request: Request): number {
  request.need(8);
  return request.word(0);
}

/** CREATE's flags and mode; TMPFILE has the same body, and its name means nothing. */
export function decodeCreate(request: Request): { flags: number; mode: number; umask: number } {
  request.need(16);
  return { flags: request.word(0), mode: request.word(1), umask: request.word(2) };
}

export const CREATE_NAME_AT = 16;

export interface ReadBody {
  fh: number;
  offset: number;
  size: number;
}

/** READ. */
export function decodeRead(request: Request): ReadBody {
  request.need(40);
  return { fh: request.long(0), offset: request.fileOffset(2), size: request.word(4) };
}

/** READDIR and READDIRPLUS: `offset` is a cookie that we returned, or any number from a program. */
export function decodeReaddir(request: Request): ReadBody {
  request.need(40);
  return { fh: request.long(0), offset: request.long(2), size: request.word(4) };
}

export interface WriteBody {
  fh: number;
  offset: number;
  flags: number;
  /** A view, valid until the next request is read. */
  data: Buffer;
}

/** Bytes before the data of a WRITE. */
export const WRITE_BODY_BYTES = 40;

export function decodeWrite(request: Request): WriteBody {
  request.need(WRITE_BODY_BYTES);
  return {
    fh: request.long(0),
    offset: request.fileOffset(2),
    flags: request.word(5),
    data: request.data(WRITE_BODY_BYTES, request.word(4)),
  };
}

/** The handle of RELEASE, RELEASEDIR and FLUSH. */
export function decodeHandle(request: Request): number {
  request.need(24);
  return request.long(0);
}

/** The flags of FSYNC and FSYNCDIR. */
export function decodeFsync(request: Request): number {
  request.need(16);
  return request.word(2);
}

export interface SetxattrBody {
  name: string;
  value: Buffer;
  flags: number;
  /** Of an ACL: the file loses set-group-id. Undefined: the kernel does not say. */
  killSetGid: boolean | undefined;
}

/** `extended`: SETXATTR_EXT was negotiated, the structure has 16 bytes instead of 8. */
export function decodeSetxattr(request: Request, extended: boolean): SetxattrBody {
  const fixedBytes = extended ? 16 : 8;
  request.need(fixedBytes);
  const name = xattrName(request, fixedBytes);
  return {
    flags: request.word(1),
    name,
    value: request.data(fixedBytes + name.length + 1, request.word(0)),
    killSetGid: extended ? (request.word(2) & SETXATTR_ACL_KILL_SGID) !== 0 : undefined,
  };
}

/** `size` 0: the caller asks for the size needed. */
export function decodeGetxattr(request: Request): { size: number; name: string } {
  request.need(8);
  return { size: request.word(0), name: xattrName(request, 8) };
}

export function decodeListxattr(request: Request): number {
  request.need(8);
  return request.word(0);
}

/** The name of an xattr: up to 255 bytes, `/` allowed. */
export function xattrName(request: Request, at: number): string {
  const name = request.string(at);
  if (name === '' || name.length > 255) throw new FsError('ERANGE', 'xattr');
  return name;
}

export interface FallocateBody {
  fh: number;
  offset: number;
  length: number;
  mode: number;
}

export function decodeFallocate(request: Request): FallocateBody {
  request.need(32);
  return {
    fh: request.long(0),
    offset: request.fileOffset(2),
    length: request.fileOffset(4),
    mode: request.word(6),
  };
}

export function decodeLseek(request: Request): { fh: number; offset: number; whence: number } {
  request.need(24);
  const offset = request.fileOffset(2, 'ENXIO');
  return { fh: request.long(0), offset, whence: request.word(4) };
}

export interface CopyRangeBody {
  offset: number;
  newNode: number;
  newOffset: number;
  length: number;
}

export function decodeCopyRange(request: Request): CopyRangeBody {
  request.need(56);
  return {
    offset: request.fileOffset(2),
    newNode: request.long(4),
    newOffset: request.fileOffset(8),
    length: request.fileOffset(10),
  };
}

/** The unique number (two halves) of the request that INTERRUPT is about. */
export function decodeInterrupt(request: Request): { low: number; high: number } {
  request.need(8);
  return { low: request.word(0), high: request.word(1) };
}
