/**
 * Which snapshots are needed of an upstream, and by whom: pure. The set that
 * goes upstream is what this volume needs and what further downstreams need
 * (native-notes/design.md, section 9, row L5), so that locks travel up a whole
 * cascade (row L7).
 */
import { type NeededSnapshot, SNAPSHOTS_MAX, type SyncSnapshot } from './messages.js';

/** Snapshots that both have, the upstream's newest first. */
export function common(
  upstream: readonly SyncSnapshot[],
  here: readonly SyncSnapshot[],
): SyncSnapshot[] {
  const known = new Set(here.map(({ uuid }) => uuid));
  return upstream.filter(({ uuid }) => known.has(uuid)).reverse();
}

export interface PullPlan {
  /** The common snapshot to start from; undefined: everything has to travel. */
  base: SyncSnapshot | undefined;
  /** Snapshots to pull, in this order, each as a difference to the one before. */
  pending: readonly SyncSnapshot[];
}

/** Without a common snapshot only the newest travels: the others can't come as differences. */
export function planPull(
  upstream: readonly SyncSnapshot[],
  here: readonly SyncSnapshot[],
): PullPlan {
  const [base] = common(upstream, here);
  const newer =
    base === undefined
      ? upstream
      : upstream.slice(upstream.findIndex((s) => s.uuid === base.uuid) + 1);
  const pending = base === undefined ? newer.slice(-1) : newer;
  return { base, pending };
}

/**
 * What is here and not at the upstream, as far as it can be known: an upstream that has nothing in
 * common is another one, or was emptied, and a long list has only the newest.
 */
export function absentAt(
  upstream: readonly SyncSnapshot[],
  here: readonly SyncSnapshot[],
): SyncSnapshot[] {
  const theirs = new Set(upstream.map(({ uuid }) => uuid));
  const oldestCommon = here.findIndex(({ uuid }) => theirs.has(uuid));
  if (oldestCommon < 0) return [];
  const known = upstream.length < SNAPSHOTS_MAX ? here : here.slice(oldestCommon);
  return known.filter(({ uuid }) => !theirs.has(uuid));
}

export interface Needs {
  /**
   * This volume's UUID, its name for people, and the part of it that depends on the lock: its
   * dataset.
   */
  volume: string;
  name: string;
  dataset: string;
  base: SyncSnapshot | undefined;
  pending: readonly SyncSnapshot[];
  /** Locks that further downstreams hold here. */
  ofDownstreams: readonly NeededSnapshot[];
}

/** The full set, each (snapshot, origin) once. */
export function locksToSend(needs: Needs): NeededSnapshot[] {
  const { base, pending, volume, name, dataset } = needs;
  const items = new Map<string, NeededSnapshot>();
  const add = (item: NeededSnapshot): void => {
    const key = `${item.snapshot} ${item.origin} ${item.dataset}`;
    if (!items.has(key)) items.set(key, item);
  };
  for (const snapshot of [base, ...pending]) {
    if (snapshot === undefined) continue;
    add({ snapshot: snapshot.uuid, type: 'destination', text: name, origin: volume, dataset });
  }
  for (const item of needs.ofDownstreams) add(item);
  return [...items.values()];
}
