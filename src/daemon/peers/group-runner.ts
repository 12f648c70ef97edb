/**
 * Group saves in the thread of the connections: the protocol, together with the
 * volume as seen from here. This thread knows the stored state from the start
 * and updates it with its own changes: no other thread changes it.
 */
import { testLimitMs } from '../../lib/test-limit.js';
import type { Fabric, Timers } from '../../sync/fabric.js';
import type {
  CommitRecords,
  GroupAnswer,
  GroupMessage,
  GroupVolume,
} from '../../sync/group/group-messages.js';
import { type GroupLimits, GroupSaves } from '../../sync/group/group-saves.js';
import type { GroupOrder, GroupStored } from './agent-messages.js';
import type { CallsToVolume } from './connections-calls.js';

const LIMITS: GroupLimits = {
  greetMaxMs: 3_000,
  parkMaxMs: testLimitMs('SHADOWFS_GROUP_PARK_MS') ?? 5_000,
  saveMaxMs: testLimitMs('SHADOWFS_GROUP_SAVE_MS') ?? 15_000,
};

export interface GroupRunnerParts {
  /** UUID of this volume. */
  volume: string;
  incarnation: number;
  stored: GroupStored;
  fabric: Fabric<GroupMessage>;
  timers: Timers;
  calls: CallsToVolume;
  log(message: string): void;
}

export class GroupRunner {
  readonly #saves: GroupSaves;

  constructor(parts: GroupRunnerParts) {
    const { volume, incarnation, fabric, timers } = parts;
    this.#saves = new GroupSaves({
      name: volume,
      incarnation,
      fabric,
      timers,
      volume: volumeOf(parts),
      records: recordsOf(parts),
    });
  }

  save({ name, peers, note }: GroupOrder): Promise<GroupAnswer> {
    return this.#saves.save(name, peers, LIMITS, note);
  }
}

function volumeOf({ stored, calls, log }: GroupRunnerParts): GroupVolume {
  return {
    park: (point) => calls.promise('groupPark', { point }),
    unpark: () => {
      // If the serving thread does not receive this, it unparks by itself.
      const failed = (error: unknown): void => log(`group saves: ${String(error)}`);
      calls.call('groupUnpark', undefined).settled(() => undefined, failed);
    },
    saveTentative: (point) => calls.promise('groupSave', { point }),
    keep: (key) => calls.promise('groupKeep', { key }),
    drop: (key) => calls.promise('groupDrop', { key }),
    tentative: () => stored.tentative,
  };
}

function recordsOf({ stored, calls }: GroupRunnerParts): CommitRecords {
  const known = new Map(stored.commits.map(({ key, directors }) => [key, directors]));
  return {
    add: async (key, directors) => {
      await calls.promise('groupCommit', { key, directors });
      known.set(key, directors);
    },
    has: (key) => known.has(key),
    remove: async (key) => {
      known.delete(key);
      await calls.promise('groupForget', { key });
    },
    all: () => [...known].map(([key, directors]) => ({ key, directors })),
  };
}
