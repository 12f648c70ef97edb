/**
 * What is agreed with the kernel in INIT. Pure: from the kernel's offer to the
 * reply and a record of what holds for the mount. A kernel that offers less
 * costs speed, not correctness; `Pretence` makes a new kernel look like that.
 */
import type { InitBody } from './bodies.js';
import { InitFlag, InitFlag2, PROTOCOL_MAJOR } from './protocol.js';
import { PROTOCOL_MINOR_MAX, PROTOCOL_MINOR_MIN } from './protocol.js';
import type { InitReply } from './reply.js';

const PAGE_BYTES = 4096;
/** Pages of one request when MAX_PAGES is not offered. */
const DEFAULT_PAGES = 32;

/** Features to leave unused although the kernel offers them. */
export interface Pretence {
  /** The kernel's minor version is taken to be at most this. */
  minor?: number;
  writeback?: false;
  noOpen?: false;
  noOpendir?: false;
  readdirplus?: false;
  maxWriteBytes?: number;
}

export interface Wishes {
  /** Largest WRITE and READ, in bytes; a multiple of the page size. */
  maxWriteBytes: number;
  /** Requests the kernel sends without a process waiting for each. */
  maxBackground: number;
  maxReadaheadBytes: number;
  pretence: Pretence;
}

/** What holds for this mount. */
export interface Negotiated {
  minor: number;
  writeback: boolean;
  noOpen: boolean;
  noOpendir: boolean;
  readdirplus: boolean;
  killPriv: boolean;
  setxattrExtended: boolean;
  /** INVAL_ENTRY may let a name expire instead of dropping it. */
  expireOnly: boolean;
  /** The kernel understands INC_EPOCH. */
  incEpoch: boolean;
  /** The kernel understands PRUNE. */
  prune: boolean;
  statx: boolean;
  maxWriteBytes: number;
  maxBackground: number;
}

const WANTED =
  InitFlag.ASYNC_READ |
  InitFlag.BIG_WRITES |
  InitFlag.DO_READDIRPLUS |
  InitFlag.ASYNC_DIO |
  InitFlag.WRITEBACK_CACHE |
  InitFlag.NO_OPEN_SUPPORT |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.ABORT_ERROR |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.NO_OPENDIR_SUPPORT |
  InitFlag.HANDLE_KILLPRIV_V2 |
  InitFlag.SETXATTR_EXT |
  InitFlag.INIT_EXT;

const WANTED2 = InitFlag2.HAS_EXPIRE_ONLY | InitFlag2.NO_EXPORT_SUPPORT;

/** Flags that kernels below the given minor version don't know. */
const FLAGS_SINCE: readonly (readonly [minor: number, flags: number])[] = [
  [33, InitFlag.HANDLE_KILLPRIV_V2 | InitFlag.SETXATTR_EXT],
  [36, InitFlag.INIT_EXT],
];

export type Negotiation =
  | { reply: InitReply; negotiated: Negotiated }
  /** Answer with our major version and wait for another INIT. */
  | 'other-major'
  | 'too-old';

export function negotiate(offer: InitBody, wishes: Wishes): Negotiation {
  const { pretence } = wishes;
  if (offer.major > PROTOCOL_MAJOR) return 'other-major';
  const minor = Math.min(offer.minor, pretence.minor ?? offer.minor, PROTOCOL_MINOR_MAX);
  if (offer.major < PROTOCOL_MAJOR || minor < PROTOCOL_MINOR_MIN) return 'too-old';

  let flags = offer.flags & WANTED;
  for (const [since, newer] of FLAGS_SINCE) if (minor < since) flags &= ~newer;
  if (pretence.writeback === false) flags &= ~InitFlag.WRITEBACK_CACHE;
  if (pretence.noOpen === false) flags &= ~InitFlag.NO_OPEN_SUPPORT;
  if (pretence.noOpendir === false) flags &= ~InitFlag.NO_OPENDIR_SUPPORT;
  if (pretence.readdirplus === false) flags &= ~InitFlag.DO_READDIRPLUS;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const flags2 = has(InitFlag.INIT_EXT) ? offer.flags2 & WANTED2 : 0;

  const wishedPages = Math.floor((pretence.maxWriteBytes ?? wishes.maxWriteBytes) / PAGE_BYTES);
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
      expireOnly: (flags2 & InitFlag2.HAS_EXPIRE_ONLY) !== 0,
      incEpoch: minor >= 44,
      prune: minor >= 45,
      statx: minor >= 39,
      maxWriteBytes,
      maxBackground: wishes.maxBackground,
    },
  };
}
