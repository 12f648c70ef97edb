/**
 * The soft locks of the sync, in the volume's table: those that downstreams
 * hold, and the one by which a standby keeps the snapshot from which its next
 * run starts.
 */
import { after, type Deferred } from '../../lib/deferred.js';
import { settledWith } from '../../lib/work.js';
import type { NeededSnapshot, LockSet } from '../../sync/agent/messages.js';
import type { StoredLocks } from '../../sync/agent/sync-volume.js';
import type { SoftLocks } from '../../volume/locks/soft-locks.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import type { VolumeCommands } from '../commands/commands.js';

type StoredItem = Parameters<SoftLocks['set']>[2][number];

/** The locks that other volumes hold here; not this volume's own. */
export function locksOfDownstreams(volume: Volume): NeededSnapshot[] {
  return volume.locks
    .all()
    .filter(({ origin, isBroken }) => origin !== 'local' && origin !== volume.uuid && !isBroken)
    .map(({ snapshot, type, text, dataset, origin, dependent }) => {
      return { snapshot, type, text, origin: dependent || origin, dataset };
    });
}

/** Settles when the set is durable; repeating the stored set costs nothing. */
export function storeLocks(
  volume: Volume,
  commands: VolumeCommands<View>,
  from: string,
  { sequence, items, seen }: LockSet,
): Deferred<StoredLocks> {
  const wanted = items.map(({ snapshot, type, text, origin, dataset }) => {
    return { snapshot, type, text, dataset, dependent: origin === from ? '' : origin };
  });
  const known = new Set(volume.snapshots().map(({ uuid }) => uuid));
  const asked = wanted.filter(({ snapshot }) => known.has(snapshot));
  const brokenNow = (): string[] => volume.locks.broken(from).map(({ snapshot }) => snapshot);
  const heard = brokenNow().filter((snapshot) => seen.includes(snapshot));
  const held = volume.locks.all().filter(({ origin, isBroken }) => origin === from && !isBroken);
  if (isSameSet(held, asked) && heard.length === 0) {
    volume.locks.heard(from);
    const outcomes = items.map(({ snapshot }): StoredLocks['outcomes'][number] => ({
      snapshot,
      outcome: known.has(snapshot) ? 'kept' : 'unknown-snapshot',
    }));
    return settledWith<StoredLocks>({ outcomes, broken: brokenNow(), isChanged: false });
  }
  const stored: StoredLocks[] = [];
  const done = commands.runChange('locks', () => {
    if (heard.length > 0) volume.locks.acknowledgeBroken(from, heard);
    const answer = volume.locks.set(from, sequence, wanted);
    stored.push({
      broken: brokenNow(),
      outcomes: answer.items.map(({ snapshot, outcome }) => ({
        snapshot,
        outcome: outcome === 'kept' ? 'kept' : 'unknown-snapshot',
      })),
      isChanged: answer.changed,
    });
    return {};
  });
  return after(done, () => stored[0] as StoredLocks);
}

function isSameSet(a: readonly StoredItem[], b: readonly StoredItem[]): boolean {
  const texts = (items: readonly StoredItem[]): string =>
    items
      .map(({ snapshot, type, text, dataset, dependent }) =>
        JSON.stringify([snapshot, type, text, dataset, dependent]),
      )
      .sort()
      .join();
  return texts(a) === texts(b);
}

/** Keeps the snapshot from which the next run starts, in the open txg. */
export function keepForSync(volume: Volume, snapshot: string): void {
  const { upstream = '' } = volume.roles.current;
  const name = volume.peers.nameOf(upstream) ?? upstream;
  const sequence = (volume.locks.sequenceOf(volume.uuid) ?? 0) + 1;
  volume.locks.set(volume.uuid, sequence, [
    {
      snapshot,
      type: 'owner',
      text: `this standby of ${name}: the next changes start from it`,
      dataset: '/',
      dependent: '',
    },
  ]);
}
