/**
 * Which snapshots are needed of an upstream, and by whom: pure. The set that
 * goes upstream is what this volume needs and what further downstreams need
 * (native-notes/design.md, section 9, row L5), so that locks travel up a whole
 * cascade (row L7).
 */
import type { NeededSnapshot, SyncSnapshot } from './messages.js';

/** Both have it; the newest of the upstream's first. */
export function common(
  upstream: readonly SyncSnapshot[],
  here: readonly SyncSnapshot[],
): SyncSnapshot[] {
  const known = new Set(here.map(({ uuid }) => uuid));
  return upstream.filter(({ uuid }) => known.has(uuid)).reverse();
}

export interface PullPlan {
  /** What both have, to start from; undefined: everything has to travel. */
  base: SyncSnapshot | undefined;
  /** To be pulled, in this order, each from the one before. */
  pending: readonly SyncSnapshot[];
}

/** Without a common one only the newest travels: the others can't be had as differences. */
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

export interface Needs {
  /** This volume's UUID, what people know it by, and what of it depends: its dataset. */
  volume: string;
  name: string;
  dataset: string;
  base: SyncSnapshot | undefined;
  pending: readonly SyncSnapshot[];
  /** What further downstreams have locked here. */
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
