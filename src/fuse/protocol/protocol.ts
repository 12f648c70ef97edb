/**
 * Numbers of the kernel's FUSE protocol (include/uapi/linux/fuse.h, 7.31 to
 * 7.45): opcodes, flags, notification codes and structure sizes. Values only;
 * `request.ts` decodes headers, `bodies.ts` bodies, `reply.ts` encodes answers.
 *
 * A new opcode touches, besides this file, `bodies.ts` (and `reply.ts` for a new
 * form of answer), `negotiate.ts` (since when it comes), `handlers.ts` of
 * `../session/`; there too `session-trace.ts` (which name a trace shows) and
 * `undo-lookups.ts` (an answer that names nodes counts as lookups). Then
 * `src/tree/operations.ts` and what implements it, and `src/fuse-native/`.
 *
 * Doors: kernel-override, negotiate, opcode-names.
 * Doors inside fuse/: answer-init, bodies, notifications, protocol, reply,
 *   request.
 */

export const PROTOCOL_MAJOR = 7;
/** The newest minor version supported here. */
export const PROTOCOL_MINOR_MAX = 45;
/** The oldest minor version accepted (Linux 5.4). */
export const PROTOCOL_MINOR_MIN = 31;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

/** Above all opcodes with a handler. */
export const OPCODE_LIMIT = 64;

/** First word of INIT flags. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  /** Never negotiated: with no-open the truncation of O_TRUNC would be lost. */
  ATOMIC_O_TRUNC: 1 << 3,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  /**
   * Never negotiated: at the end of an asynchronous direct write the kernel
   * keeps pages that a reader loaded meanwhile (native-notes/posix.md).
   */
  ASYNC_DIO: 1 << 15,
  WRITEBACK_CACHE: 1 << 16,
  NO_OPEN_SUPPORT: 1 << 17,
  PARALLEL_DIROPS: 1 << 18,
  HANDLE_KILLPRIV: 1 << 19,
  POSIX_ACL: 1 << 20,
  ABORT_ERROR: 1 << 21,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  NO_OPENDIR_SUPPORT: 1 << 24,
  EXPLICIT_INVAL_DATA: 1 << 25,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const;

/** Second word of INIT flags (bits 32 and up of the protocol's numbering). */
export const InitFlag2 = {
  SECURITY_CTX: 1 << 0,
  CREATE_SUPP_GROUP: 1 << 2,
  HAS_EXPIRE_ONLY: 1 << 3,
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
  PASSTHROUGH: 1 << 5,
  NO_EXPORT_SUPPORT: 1 << 6,
  HAS_RESEND: 1 << 7,
} as const;

/** Bits of `valid` in SETATTR. */
export const SetattrField = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

/** Flags of an OPEN, OPENDIR or CREATE reply. */
export const OpenFlag = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  NONSEEKABLE: 1 << 2,
  CACHE_DIR: 1 << 3,
  STREAM: 1 << 4,
  NOFLUSH: 1 << 5,
} as const;

export const GETATTR_FH = 1 << 0;
export const FSYNC_FDATASYNC = 1 << 0;
/** WRITE: drop set-user-id and set-group-id. */
export const WRITE_KILL_SUIDGID = 1 << 2;

/** SETXATTR of an ACL: the caller may not keep set-group-id (7.33, SETXATTR_EXT). */
export const SETXATTR_ACL_KILL_SGID = 1 << 0;

export const NotifyCode = {
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  DELETE: 6,
  /** Since 7.44. */
  INC_EPOCH: 8,
  /** Since 7.45. */
  PRUNE: 9,
} as const;

/** INVAL_ENTRY: let the name expire, keep the inode's pages (7.38, HAS_EXPIRE_ONLY). */
export const EXPIRE_ONLY = 1 << 0;

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const ATTR_BYTES = 88;
export const ATTR_OUT_BYTES = 16 + ATTR_BYTES;
export const ENTRY_OUT_BYTES = 40 + ATTR_BYTES;
export const OPEN_OUT_BYTES = 16;
export const STATX_OUT_BYTES = 32 + 256;
export const STATFS_OUT_BYTES = 80;
export const INIT_OUT_BYTES = 64;
/** A directory entry before its name; the whole is padded to 8 bytes. */
export const DIRENT_BYTES = 24;

/** Longest file name, in bytes. */
export const NAME_MAX_BYTES = 255;
/** Longest link target, in bytes (PATH_MAX less the terminator). */
export const TARGET_MAX_BYTES = 4095;

/** STATX_BASIC_STATS | STATX_BTIME. */
export const STATX_MASK = 0x7ff | 0x800;

/** Opcodes that change the file system; they wait while it accepts no writes. */
export const MUTATING: ReadonlySet<number> = new Set<number>([
  Opcode.SETATTR,
  Opcode.SYMLINK,
  Opcode.MKNOD,
  Opcode.MKDIR,
  Opcode.UNLINK,
  Opcode.RMDIR,
  Opcode.RENAME,
  Opcode.RENAME2,
  Opcode.LINK,
  Opcode.WRITE,
  Opcode.SETXATTR,
  Opcode.REMOVEXATTR,
  Opcode.CREATE,
  Opcode.TMPFILE,
  Opcode.FALLOCATE,
  Opcode.COPY_FILE_RANGE,
  Opcode.COPY_FILE_RANGE_64,
]);

/** 64-bit fields are read and written as two words. */
export const TWO_32 = 2 ** 32;
