/** A directory's listing in replies of any size: `.`, `..`, then the names in hash order. */
import { S_IFDIR } from '../lib/file-mode.js';
import { type Cookies, DOT_COOKIE, DOT_DOT_COOKIE } from './cookies.js';
import type { Ino64 } from './snapshots/shadow-ino.js';

export interface Listed {
  name: string;
  ino: number;
  /** S_IFMT bits of st_mode. */
  type: number;
}

/** Calls `visit` for names with hash > `afterHash` in (hash, name) order until it returns false. */
export type NameSource = (
  afterHash: number,
  visit: (name: string, ino: number, type: number, hash: number) => boolean,
) => void;

/**
 * Emits the entries after `offset`. `type` in `source` is S_IFMT >> 12. `dots`
 * and `take` return false when the reply is full.
 */
export function listFrom(
  offset: number,
  cookies: Cookies,
  dots: (name: '.' | '..', nextOffset: number) => boolean,
  source: NameSource,
  isHidden: (name: string) => boolean,
  take: (listed: Listed, nextOffset: number) => boolean,
): void {
  if (offset < DOT_COOKIE && !dots('.', DOT_COOKIE)) return;
  if (offset < DOT_DOT_COOKIE && !dots('..', DOT_DOT_COOKIE)) return;
  const { afterHash, afterName } = cookies.position(Math.max(offset, DOT_DOT_COOKIE));
  // One name is held back: its cookie depends on whether the next name shares its hash.
  let held: Listed | undefined;
  let heldHash = 0;
  let full = false;
  source(afterHash, (name, ino, type, hash) => {
    if (isHidden(name)) return true;
    if (afterName !== undefined && hash === afterHash + 1 && name <= afterName) return true;
    if (held !== undefined) {
      const next = heldHash === hash ? cookies.withinGroup(hash, held.name) : heldHash;
      if (!take(held, next)) {
        full = true;
        return false;
      }
    }
    held = { name, ino, type: type << 12 };
    heldHash = hash;
    return true;
  });
  if (held !== undefined && !full) take(held, heldHash);
}

/** `.` and `..` for READDIR and READDIRPLUS alike. */
export function dotFiller(
  self: Ino64,
  parent: Ino64,
  fill: (name: string, high: number, low: number, type: number, next: number) => boolean,
): (name: '.' | '..', nextOffset: number) => boolean {
  return (name, nextOffset) => {
    const ino = name === '.' ? self : parent;
    return fill(name, ino.high, ino.low, S_IFDIR, nextOffset);
  };
}
