/** Soft locks in words and as JSON, for people who ask what holds a snapshot. Pure. */
import { ageText, whenText } from '../../lib/age.js';
import { LOCAL_ORIGIN, type LockType } from '../../format/records/lock-record.js';
import type { SoftLock } from './soft-locks.js';

/** A lock as the state file `locks` and error messages show it. */
export interface ShownLock {
  /** The snapshot's name; null: it was deleted by force. */
  snapshot: string | null;
  uuid: string;
  type: LockType;
  text: string;
  origin: string;
  dataset: string;
  /** The origin's local name, or `this volume`; null: neither a peer nor this one. */
  peer: string | null;
  /** The volume that needs the snapshot; empty: the origin itself. */
  dependent: string;
  sequence: number;
  sinceMs: number;
  /** Null: the lock was set here by hand. */
  lastHeardMs: number | null;
  broken: boolean;
}

/** `name`: the snapshot's name; `peer`: the origin's local name. */
export function shownLock(
  lock: SoftLock,
  name: string | undefined,
  peer: string | undefined,
): ShownLock {
  const { snapshot, type, text, origin, dataset, dependent, sequence, sinceMs, isBroken } = lock;
  return {
    snapshot: name ?? null,
    uuid: snapshot,
    type,
    text,
    origin,
    dataset,
    peer: peer ?? null,
    dependent,
    sequence,
    sinceMs,
    lastHeardMs: lock.heardMs ?? null,
    broken: isBroken,
  };
}

/** Who needs the snapshot, why, since when, and when the origin was last heard. */
export function lockText(lock: SoftLock, nowMs: number, peer: string | undefined): string {
  const { type, text, origin, dataset, dependent, sinceMs, heardMs } = lock;
  const since = `set ${ageText(nowMs - sinceMs)}`;
  if (origin === LOCAL_ORIGIN) return `locked by hand: ${text} (${since})`;
  const of = dataset === '' ? '' : ` of ${dataset}`;
  const heard = whenText(heardMs ?? null, nowMs);
  const teller = peer === undefined ? `origin ${origin}` : `peer ${peer}`;
  const through = dependent === '' ? '' : ` through ${peer ?? origin}`;
  return `needed by ${type} ${text}${of}${through} (${teller}, ${since}, last heard ${heard})`;
}
