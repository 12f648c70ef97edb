/**
 * The agreement with the kernel in INIT. Pure: from the kernel's offer to the
 * reply and a record of what holds for the mount. A kernel that offers less
 * costs speed, not correctness (a `KernelOverride` makes a new kernel look like that).
 */
import type { InitBody } from './bodies.js';
import { InitFlag, InitFlag2, Opcode, PROTOCOL_MAJOR } from './protocol.js';
import { PROTOCOL_MINOR_MAX, PROTOCOL_MINOR_MIN } from './protocol.js';
import { FEATURES, type Feature, type KernelOverride } from './kernel-override.js';
import type { InitReply } from './reply.js';

const PAGE_BYTES = 4096;
/** Pages of one request when MAX_PAGES is not offered. */
const DEFAULT_PAGES = 32;

export interface Wishes {
  /** Largest WRITE and READ, in bytes; a multiple of the page size. */
  maxWriteBytes: number;
  /** Requests that the kernel sends without a process waiting for each. */
  maxBackground: number;
  maxReadaheadBytes: number;
  /** The operations apply the umask, and do the part of ACLs that is left to them. */
  acls: boolean;
  kernelOverride: KernelOverride;
}

export const DEFAULT_WISHES: Readonly<Wishes> = {
  maxWriteBytes: 1024 * 1024,
  maxBackground: 64,
  maxReadaheadBytes: 16 * 1024 * 1024,
  acls: false,
  kernelOverride: {},
};

/** What holds for this mount. */
export interface Negotiated {
  minor: number;
  writeback: boolean;
  noOpen: boolean;
  noOpendir: boolean;
  readdirplus: boolean;
  killPriv: boolean;
  setxattrExtended: boolean;
  /** The kernel checks access by ACLs, and does not apply the umask. */
  acls: boolean;
  /** INVAL_ENTRY can let a name expire instead of dropping it. */
  expireOnly: boolean;
  /** The kernel understands INC_EPOCH. */
  incEpoch: boolean;
  /** The kernel understands PRUNE. */
  prune: boolean;
  maxWriteBytes: number;
  maxBackground: number;
}

const WANTED =
  InitFlag.ASYNC_READ |
  InitFlag.BIG_WRITES |
  InitFlag.DO_READDIRPLUS |
  InitFlag.WRITEBACK_CACHE |
  InitFlag.NO_OPEN_SUPPORT |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.ABORT_ERROR |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.NO_OPENDIR_SUPPORT |
  InitFlag.HANDLE_KILLPRIV_V2 |
  InitFlag.SETXATTR_EXT |
  InitFlag.POSIX_ACL |
  InitFlag.DONT_MASK |
  InitFlag.INIT_EXT;

const WANTED2 = InitFlag2.HAS_EXPIRE_ONLY | InitFlag2.NO_EXPORT_SUPPORT;

/** Neither works without the other: a default ACL replaces the umask. */
const ACLS = InitFlag.POSIX_ACL | InitFlag.DONT_MASK;

/** Flags that kernels below the given minor version don't know. */
const FLAGS_SINCE: readonly (readonly [minor: number, flags: number, flags2: number])[] = [
  [33, InitFlag.HANDLE_KILLPRIV_V2 | InitFlag.SETXATTR_EXT, 0],
  [36, InitFlag.INIT_EXT, 0],
  [38, 0, InitFlag2.HAS_EXPIRE_ONLY],
  [39, 0, InitFlag2.NO_EXPORT_SUPPORT],
];

/** The INIT flag of each feature that has one. */
const FLAG_OF: Partial<Record<Feature, number>> = {
  writeback: InitFlag.WRITEBACK_CACHE,
  noOpen: InitFlag.NO_OPEN_SUPPORT,
  noOpendir: InitFlag.NO_OPENDIR_SUPPORT,
  readdirplus: InitFlag.DO_READDIRPLUS,
  parallelDirops: InitFlag.PARALLEL_DIROPS,
  symlinkCache: InitFlag.CACHE_SYMLINKS,
  killPriv: InitFlag.HANDLE_KILLPRIV_V2,
  setxattrExtended: InitFlag.SETXATTR_EXT,
  posixAcl: ACLS,
};

/** Opcodes that kernels below the given minor version don't send. */
const OPCODE_SINCE = new Map<number, number>([
  [Opcode.SYNCFS, 34],
  [Opcode.TMPFILE, 37],
  [Opcode.STATX, 39],
  [Opcode.COPY_FILE_RANGE_64, 45],
]);

/** Whether a kernel of version `minor` sends this opcode; if not, it is answered as unknown. */
export function isSentBy(minor: number, opcode: number): boolean {
  return minor >= (OPCODE_SINCE.get(opcode) ?? 0);
}

export type Negotiation =
  | { reply: InitReply; negotiated: Negotiated }
  /** Answer with our major version and wait for another INIT. */
  | 'other-major'
  | 'too-old';

export function negotiate(offer: InitBody, asked: Partial<Wishes>): Negotiation {
  const wishes = { ...DEFAULT_WISHES, ...asked };
  const { kernelOverride } = wishes;
  if (offer.major > PROTOCOL_MAJOR) return 'other-major';
  const minor = Math.min(offer.minor, kernelOverride.minor ?? offer.minor, PROTOCOL_MINOR_MAX);
  if (offer.major < PROTOCOL_MAJOR || minor < PROTOCOL_MINOR_MIN) return 'too-old';

  const isLeftOut = (feature: Feature): boolean => kernelOverride[feature] === false;
  let unwanted = wishes.acls ? 0 : ACLS;
  let unwanted2 = isLeftOut('expireOnly') ? InitFlag2.HAS_EXPIRE_ONLY : 0;
  for (const [since, newer, newer2] of FLAGS_SINCE) {
    if (minor >= since) continue;
    unwanted |= newer;
    unwanted2 |= newer2;
  }
  for (const feature of FEATURES) if (isLeftOut(feature)) unwanted |= FLAG_OF[feature] ?? 0;
  if ((offer.flags & ACLS) !== ACLS) unwanted |= ACLS;
  const flags = offer.flags & WANTED & ~unwanted;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const flags2 = has(InitFlag.INIT_EXT) ? offer.flags2 & WANTED2 & ~unwanted2 : 0;

  const wishedPages = Math.floor(
    (kernelOverride.maxWriteBytes ?? wishes.maxWriteBytes) / PAGE_BYTES,
  );
  const maxPages = Math.max(
    1,
    has(InitFlag.MAX_PAGES) ? wishedPages : Math.min(wishedPages, DEFAULT_PAGES),
  );
  const maxWriteBytes = maxPages * PAGE_BYTES;
  return {
    reply: {
      minor,
      flags,
      flags2,
      maxReadahead: wishes.maxReadaheadBytes,
      maxBackground: wishes.maxBackground,
      congestionThreshold: Math.max(1, Math.floor((wishes.maxBackground * 3) / 4)),
      maxWriteBytes,
      maxPages: has(InitFlag.MAX_PAGES) ? maxPages : 0,
    },
    negotiated: {
      minor,
      writeback: has(InitFlag.WRITEBACK_CACHE),
      noOpen: has(InitFlag.NO_OPEN_SUPPORT),
      noOpendir: has(InitFlag.NO_OPENDIR_SUPPORT),
      readdirplus: has(InitFlag.DO_READDIRPLUS),
      killPriv: has(InitFlag.HANDLE_KILLPRIV_V2),
      setxattrExtended: has(InitFlag.SETXATTR_EXT),
      acls: has(InitFlag.POSIX_ACL),
      expireOnly: (flags2 & InitFlag2.HAS_EXPIRE_ONLY) !== 0,
      incEpoch: minor >= 44 && !isLeftOut('incEpoch'),
      prune: minor >= 45 && !isLeftOut('prune'),
      maxWriteBytes,
      maxBackground: wishes.maxBackground,
    },
  };
}
