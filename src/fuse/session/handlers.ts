/**
 * One handler per opcode: decode the body, call the operation, encode the
 * reply. A handler returns the length of the reply's body, or one of the
 * negative outcomes below; errors are thrown and answered by the session.
 */
import type { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import { InvariantError } from '../../lib/invariant.js';
import type { Operations } from '../../tree/operations.js';
import { visibleNames } from '../../tree/xattr-names.js';
import {
  CREATE_NAME_AT,
  decodeCopyRange,
  decodeCreate,
  decodeFallocate,
  decodeFsync,
  decodeGetattr,
  decodeGetxattr,
  decodeHandle,
  decodeLink,
  decodeListxattr,
  decodeLseek,
  decodeMkdir,
  decodeMknod,
  decodeOpen,
  decodeRead,
  decodeReaddir,
  decodeRename,
  decodeRename2,
  decodeSetattr,
  decodeSetxattr,
  decodeSymlink,
  decodeWrite,
  type RenameBody,
  xattrName,
} from '../protocol/bodies.js';
import {
  FSYNC_FDATASYNC,
  OPCODE_LIMIT,
  Opcode,
  OpenFlag,
  OUT_HEADER_BYTES,
  WRITE_KILL_SUIDGID,
} from '../protocol/protocol.js';
import type { Reply } from '../protocol/reply.js';
import type { Request } from '../protocol/request.js';

/** A `Deferred` took the request; it is answered when that settles. */
export const LATER = -1;

/** What a handler works with. */
export interface HandlerContext {
  readonly ops: Operations;
  /** The reply of the current request. */
  readonly reply: Reply;
  /** SETXATTR_EXT was negotiated. */
  readonly setxattrExtended: boolean;
  /** The kernel takes ENOSYS for OPEN and OPENDIR as "never ask again". */
  readonly noOpen: boolean;
  readonly noOpendir: boolean;
  /** The kernel keeps written data and the times of files to itself for a while. */
  readonly writeback: boolean;
  /** Answers the request when `result` settles. Returns LATER. */
  later<T>(
    request: Request,
    result: Deferred<T>,
    encode: (reply: Reply, value: T) => number,
  ): number;
}

export type Handler = (context: HandlerContext, request: Request) => number;

const encodeNothing = (): number => 0;
const encodeCount = (reply: Reply, count: number): number => reply.count(count);
const encodeOffset = (reply: Reply, offset: number): number => reply.offset(offset);

/** An empty reply, now or when `result` settles. */
function nothing(
  context: HandlerContext,
  request: Request,
  result: Deferred<void> | undefined,
): number {
  return result === undefined ? 0 : context.later(request, result, encodeNothing);
}

const lookup: Handler = ({ ops, reply }, request) =>
  reply.entry(ops.lookup(request.caller(), request.node, request.name(0)));

const getattr: Handler = ({ ops, reply }, request) => {
  const isOpen = decodeGetattr(request) !== undefined;
  return reply.attributes(ops.getattr(request.caller(), request.node, isOpen));
};

const statx: Handler = ({ ops, reply }, request) => {
  const isOpen = decodeGetattr(request) !== undefined;
  return reply.statx(ops.getattr(request.caller(), request.node, isOpen));
};

const setattr: Handler = (context, request) => {
  const { changes, fh } = decodeSetattr(request);
  if (context.writeback && changes.size !== undefined) changes.keepTimes = true;
  const result = context.ops.setattr(request.caller(), request.node, changes, fh);
  if ('mode' in result) return context.reply.attributes(result);
  return context.later(request, result, (reply, attr) => reply.attributes(attr));
};

const readlink: Handler = ({ ops, reply }, request) =>
  reply.text(ops.readlink(request.caller(), request.node));

const symlink: Handler = ({ ops, reply }, request) => {
  const { name, target } = decodeSymlink(request);
  return reply.entry(ops.symlink(request.caller(), request.node, name, target));
};

const mknod: Handler = ({ ops, reply }, request) => {
  const { name, mode, rdev, umask } = decodeMknod(request);
  return reply.entry(ops.mknod(request.caller(), request.node, name, mode, rdev, umask));
};

const mkdir: Handler = (context, request) => {
  const { name, mode, umask } = decodeMkdir(request);
  const result = context.ops.mkdir(request.caller(), request.node, name, mode, umask);
  if ('nodeId' in result) return context.reply.entry(result);
  return context.later(request, result, (reply, entry) => reply.entry(entry));
};

const unlink: Handler = ({ ops }, request) => {
  ops.unlink(request.caller(), request.node, request.name(0));
  return 0;
};

const rmdir: Handler = (context, request) => {
  const result = context.ops.rmdir(request.caller(), request.node, request.name(0));
  return nothing(context, request, result ?? undefined);
};

function renameWith(decode: (request: Request) => RenameBody): Handler {
  return (context, request) => {
    const { newParent, name, newName, flags } = decode(request);
    const caller = request.caller();
    const result = context.ops.rename(caller, request.node, name, newParent, newName, flags);
    return nothing(context, request, result ?? undefined);
  };
}

const link: Handler = ({ ops, reply }, request) => {
  const { node, newName } = decodeLink(request);
  return reply.entry(ops.link(request.caller(), node, request.node, newName));
};

/**
 * A kernel without "never ask again" gets the answer that it would otherwise
 * assume: keep the pages of files and the listings of directories.
 */
const open: Handler = ({ ops, reply, noOpen }, request) => {
  const opened = ops.open(request.caller(), request.node, decodeOpen(request));
  if (opened !== 'no-open') return reply.opened(opened);
  if (noOpen) throw new FsError('ENOSYS', 'open');
  return reply.opened({ fh: 0, flags: OpenFlag.KEEP_CACHE });
};

const opendir: Handler = ({ ops, reply, noOpendir }, request) => {
  const opened = ops.opendir(request.caller(), request.node, decodeOpen(request));
  if (opened !== 'no-open') return reply.opened(opened);
  if (noOpendir) throw new FsError('ENOSYS', 'opendir');
  return reply.opened({ fh: 0, flags: OpenFlag.KEEP_CACHE | OpenFlag.CACHE_DIR });
};

const create: Handler = ({ ops, reply, noOpen }, request) => {
  if (noOpen && ops.neverOpens === true) throw new FsError('ENOSYS', 'create');
  const { flags, mode, umask } = decodeCreate(request);
  const name = request.name(CREATE_NAME_AT);
  const caller = request.caller();
  const { entry, opened } = ops.create(caller, request.node, name, mode, flags, umask);
  return reply.created(entry, opened);
};

const tmpfile: Handler = ({ ops, reply }, request) => {
  const { flags, mode, umask } = decodeCreate(request);
  const { entry, opened } = ops.tmpfile(request.caller(), request.node, mode, flags, umask);
  return reply.created(entry, opened);
};

const read: Handler = (context, request) => {
  const { ops, reply } = context;
  const { fh, offset, size } = decodeRead(request);
  if (size > reply.capacity) throw new FsError('EINVAL', 'read');
  const caller = request.caller();
  const out = reply.bytes;
  const result = ops.read(caller, request.node, fh, offset, size, out, OUT_HEADER_BYTES);
  if (typeof result === 'number') return result;
  return context.later(request, result, (late, bytes) => {
    const data = bytes.length > size ? bytes.subarray(0, size) : bytes;
    late.reserve(data.length);
    return late.data(data);
  });
};

const write: Handler = (context, request) => {
  const { fh, offset, flags, data } = decodeWrite(request);
  const killSetId = (flags & WRITE_KILL_SUIDGID) !== 0;
  // With a writeback cache the kernel keeps the times of every write, also of a direct one, and
  // sends them at any time. It may have sent them before this request, which must not overwrite
  // them with later times.
  const keepTimes = context.writeback;
  const caller = request.caller();
  const { ops } = context;
  const result = ops.write(caller, request.node, fh, offset, data, killSetId, keepTimes);
  if (typeof result === 'number') return context.reply.count(result);
  return context.later(request, result, encodeCount);
};

const statfs: Handler = ({ ops, reply }, request) =>
  reply.statfs(ops.statfs(request.caller(), request.node));

const release: Handler = ({ ops }, request) => {
  ops.release(request.node, decodeHandle(request));
  return 0;
};

const releasedir: Handler = (_context, request) => {
  decodeHandle(request);
  return 0;
};

const flush: Handler = (context, request) => {
  const fh = decodeHandle(request);
  const result = context.ops.flush(request.caller(), request.node, fh);
  if (result === 'no-flush') throw new FsError('ENOSYS', 'flush');
  return nothing(context, request, result);
};

const fsync: Handler = (context, request) => {
  const dataOnly = (decodeFsync(request) & FSYNC_FDATASYNC) !== 0;
  return nothing(context, request, context.ops.fsync(request.caller(), request.node, dataOnly));
};

const fsyncdir: Handler = (context, request) => {
  decodeFsync(request);
  return nothing(context, request, context.ops.fsyncdir(request.caller(), request.node));
};

/**
 * An error after some entries must not lose them (in a READDIRPLUS each counts
 * as a lookup): the reply is the list so far, and the error shows again at the
 * next call.
 */
function list(fill: () => void, taken: () => number): number {
  try {
    fill();
  } catch (error) {
    if (error instanceof InvariantError || taken() === 0) throw error;
  }
  return taken();
}

const readdir: Handler = ({ ops, reply }, request) => {
  const { fh, offset, size } = decodeReaddir(request);
  const limit = Math.min(size, reply.capacity);
  let at = 0;
  return list(
    () =>
      ops.readdir(request.caller(), request.node, fh, offset, (name, high, low, type, next) => {
        const end = reply.dirent(at, limit, name, high, low, type, next);
        if (end === at) return false;
        at = end;
        return true;
      }),
    () => at,
  );
};

const readdirplus: Handler = ({ ops, reply }, request) => {
  const { fh, offset, size } = decodeReaddir(request);
  const limit = Math.min(size, reply.capacity);
  let at = 0;
  return list(
    () =>
      ops.readdirplus(
        request.caller(),
        request.node,
        fh,
        offset,
        (name, high, low, type, next, entry) => {
          const end = reply.direntPlus(at, limit, name, high, low, type, next, entry);
          if (end === at) return false;
          at = end;
          return true;
        },
      ),
    () => at,
  );
};

const setxattr: Handler = ({ ops, setxattrExtended }, request) => {
  const { name, value, flags, killSetGid } = decodeSetxattr(request, setxattrExtended);
  ops.setxattr(request.caller(), request.node, name, value, flags, killSetGid);
  return 0;
};

const getxattr: Handler = ({ ops, reply }, request) => {
  const { size, name } = decodeGetxattr(request);
  const value = ops.getxattr(request.caller(), request.node, name);
  if (size === 0) return reply.count(value.length);
  if (value.length > size) throw new FsError('ERANGE', 'getxattr');
  return reply.data(value);
};

const listxattr: Handler = ({ ops, reply }, request) => {
  const size = decodeListxattr(request);
  const caller = request.caller();
  const names = visibleNames(caller, ops.listxattr(caller, request.node));
  const text = names.length === 0 ? '' : `${names.join('\0')}\0`;
  if (size === 0) return reply.count(text.length);
  if (text.length > size) throw new FsError('ERANGE', 'listxattr');
  return reply.text(text);
};

const removexattr: Handler = ({ ops }, request) => {
  ops.removexattr(request.caller(), request.node, xattrName(request, 0));
  return 0;
};

const fallocate: Handler = (context, request) => {
  const { fh, offset, length, mode } = decodeFallocate(request);
  const { ops, writeback } = context;
  const caller = request.caller();
  const result = ops.fallocate(caller, request.node, fh, offset, length, mode, writeback);
  return nothing(context, request, result ?? undefined);
};

const lseek: Handler = (context, request) => {
  const { fh, offset, whence } = decodeLseek(request);
  const result = context.ops.lseek(request.caller(), request.node, fh, offset, whence);
  if (typeof result === 'number') return context.reply.offset(result);
  return context.later(request, result, encodeOffset);
};

/** The old form answers with 32 bits, so it must not copy more than that at once. */
function copyRangeWith(
  lengthMax: number,
  encode: (reply: Reply, copied: number) => number,
): Handler {
  return (context, request) => {
    const { offset, newNode, newOffset, length } = decodeCopyRange(request);
    const bounded = Math.min(length, lengthMax);
    const caller = request.caller();
    const { ops, reply, writeback } = context;
    const { node } = request;
    const result = ops.copyFileRange(caller, node, offset, newNode, newOffset, bounded, writeback);
    if (typeof result === 'number') return encode(reply, result);
    return context.later(request, result, encode);
  };
}

/** Opcodes without a handler are answered ENOSYS: the kernel then does without them. */
export const HANDLERS: readonly (Handler | undefined)[] = (() => {
  const table = new Array<Handler | undefined>(OPCODE_LIMIT).fill(undefined);
  table[Opcode.LOOKUP] = lookup;
  table[Opcode.GETATTR] = getattr;
  table[Opcode.STATX] = statx;
  table[Opcode.SETATTR] = setattr;
  table[Opcode.READLINK] = readlink;
  table[Opcode.SYMLINK] = symlink;
  table[Opcode.MKNOD] = mknod;
  table[Opcode.MKDIR] = mkdir;
  table[Opcode.UNLINK] = unlink;
  table[Opcode.RMDIR] = rmdir;
  table[Opcode.RENAME] = renameWith(decodeRename);
  table[Opcode.RENAME2] = renameWith(decodeRename2);
  table[Opcode.LINK] = link;
  table[Opcode.OPEN] = open;
  table[Opcode.OPENDIR] = opendir;
  table[Opcode.CREATE] = create;
  table[Opcode.TMPFILE] = tmpfile;
  table[Opcode.READ] = read;
  table[Opcode.WRITE] = write;
  table[Opcode.STATFS] = statfs;
  table[Opcode.RELEASE] = release;
  table[Opcode.RELEASEDIR] = releasedir;
  table[Opcode.FLUSH] = flush;
  table[Opcode.FSYNC] = fsync;
  table[Opcode.FSYNCDIR] = fsyncdir;
  table[Opcode.READDIR] = readdir;
  table[Opcode.READDIRPLUS] = readdirplus;
  table[Opcode.SETXATTR] = setxattr;
  table[Opcode.GETXATTR] = getxattr;
  table[Opcode.LISTXATTR] = listxattr;
  table[Opcode.REMOVEXATTR] = removexattr;
  table[Opcode.FALLOCATE] = fallocate;
  table[Opcode.LSEEK] = lseek;
  table[Opcode.COPY_FILE_RANGE] = copyRangeWith(0x7fff_f000, encodeCount);
  table[Opcode.COPY_FILE_RANGE_64] = copyRangeWith(Number.MAX_SAFE_INTEGER, encodeOffset);
  return table;
})();
