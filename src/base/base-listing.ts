/**
 * Listings of directories in the base directory, in directory order (rule D15),
 * cached while the directory does not change, up to a total number of names.
 *
 * What must hold: a name's `hostInode` is either the number that `lstat` gives,
 * on the base directory's own device, or 0 (the caller asks `lstat`); a listing
 * is reused only while the directory's times are unchanged.
 */
import { FsError } from '../lib/errors.js';
import { nameHash } from '../format/records/name-hash.js';
import {
  AT_EMPTY_PATH,
  DT_DIR,
  DT_UNKNOWN,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
} from '../libc/constants.js';
import { readDirectory } from '../libc/directory.js';
import { close, fstatfs } from '../libc/libc.js';
import { fsError } from '../libc/library.js';
import { StatxBuffer, statx } from '../libc/statx.js';
import { type BaseHandles, meansAbsent } from './base-handles.js';
import { isPlainFileSystem } from './base-file-system.js';
import { type BaseStat, isSameFile, referenceTo, toBaseStat } from './base-stat.js';
import type { BaseReference } from './base-reference.js';

/** Names in all cached listings together; a larger directory is cached alone. */
export const LISTED_NAMES_MAX = 500_000;

/**
 * Times advance by clock ticks: a change right after a listing may not show. If
 * the directory changed less than this before it was listed, the listing
 * expires after this time.
 */
const TICK_MS = 100;

export interface BaseName {
  hash: number;
  /** Byte string. */
  name: string;
  /** File type, S_IFMT >> 12. */
  type: number;
  /** Derives the inode number (BaseDirectory.inodeNumber); 0: unknown, ask `lstat`. */
  hostInode: number;
}

interface Listing {
  path: string;
  reference: BaseReference;
  names: readonly BaseName[];
  /** The listing expires at this time; Infinity when the directory had not changed recently. */
  untilMs: number;
}

export function precedes(a: BaseName, b: BaseName): number {
  return a.hash - b.hash || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

export class BaseListings {
  readonly #listings = new Map<string, Listing>();
  readonly #stat = new StatxBuffer();
  #names = 0;

  constructor(
    readonly handles: BaseHandles,
    readonly device: number,
    /** BaseDirectory.lstat: knows which paths must not be touched. */
    readonly lstat: (path: string) => BaseStat | undefined,
  ) {}

  /** The names below `path`, sorted by (hash, name). Undefined: no such directory. */
  list(path: string): readonly BaseName[] | undefined {
    const known = this.#listings.get(path);
    if (known !== undefined) {
      this.#listings.delete(path);
      if (this.#isCurrent(known)) {
        this.#listings.set(path, known);
        return known.names;
      }
      this.#names -= known.names.length;
    }
    const fd = this.handles.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (meansAbsent(fd)) return undefined;
    if (fd < 0) throw fsError(fd, 'readdir', path);
    try {
      const listing = this.#read(path, fd);
      return listing === undefined ? undefined : this.#keep(listing);
    } finally {
      close(fd);
    }
  }

  #isCurrent(listing: Listing): boolean {
    if (this.handles.nowMs() >= listing.untilMs) return false;
    const fd = this.handles.directory(listing.path);
    if (fd < 0 || statx(fd, '', AT_EMPTY_PATH, this.#stat) < 0) return false;
    return isSameFile(this.#stat, listing.reference);
  }

  /** Undefined when the directory was removed meanwhile. */
  #read(path: string, fd: number): Listing | undefined {
    // Stat before the read: a change meanwhile then shows at the next check.
    const failed = statx(fd, '', AT_EMPTY_PATH, this.#stat);
    if (failed < 0) throw fsError(failed, 'stat', path);
    const stat = toBaseStat(this.#stat);
    const nowMs = this.handles.nowMs();
    const changedMs = stat.ctimeS * 1000 + stat.ctimeNs / 1e6;
    const space = fstatfs(fd);
    const isPlain =
      stat.device === this.device && typeof space !== 'number' && isPlainFileSystem(space.type);
    const entries = readDirectory(fd);
    if (typeof entries === 'number' && meansAbsent(entries)) return undefined;
    if (typeof entries === 'number') throw fsError(entries, 'readdir', path);
    const names: BaseName[] = [];
    for (const { name, ino, type } of entries) {
      const entry = { hash: nameHash(name), name, type, hostInode: isPlain ? ino : 0 };
      // Something may be mounted on a directory; then the entry does not describe the file there.
      if (type === DT_DIR || type === DT_UNKNOWN) this.#look(path, entry);
      if (entry.type !== DT_UNKNOWN) names.push(entry);
    }
    names.sort(precedes);
    const untilMs = nowMs - changedMs < TICK_MS ? nowMs + TICK_MS : Number.POSITIVE_INFINITY;
    return { path, reference: referenceTo(path, stat), names, untilMs };
  }

  /** Takes type and number from the file itself. A file that is gone by now keeps type 0. */
  #look(path: string, entry: BaseName): void {
    entry.hostInode = 0;
    try {
      const stat = this.lstat(path === '' ? entry.name : `${path}/${entry.name}`);
      if (stat === undefined) return;
      entry.type = stat.mode >>> 12;
      if (stat.device === this.device) entry.hostInode = stat.hostInode;
    } catch (error) {
      // A directory without search permission: the names are readable, the attributes are not.
      if (!(error instanceof FsError)) throw error;
    }
  }

  #keep(listing: Listing): readonly BaseName[] {
    this.#listings.set(listing.path, listing);
    this.#names += listing.names.length;
    for (const oldest of this.#listings.values()) {
      if (this.#names <= LISTED_NAMES_MAX || oldest === listing) break;
      this.#listings.delete(oldest.path);
      this.#names -= oldest.names.length;
    }
    return listing.names;
  }

  /** Number of cached names, for tests and status. */
  get nameCount(): number {
    return this.#names;
  }

  clear(): void {
    this.#listings.clear();
    this.#names = 0;
  }
}
