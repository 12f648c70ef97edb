/**
 * Group saves in the thread of the connections: the protocol, put together with
 * the volume as it is seen from here. What is stored is known here as it was at
 * the start, and as it was changed from here since: nobody else changes it.
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
import type { GroupCommand, GroupRequest, GroupStored } from './group-requests.js';

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
  ask(request: GroupRequest): Promise<unknown>;
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

  save({ name, peers }: GroupCommand): Promise<GroupAnswer> {
    return this.#saves.save(name, peers, LIMITS);
  }
}

function volumeOf({ stored, ask, log }: GroupRunnerParts): GroupVolume {
  const change = async (request: GroupRequest): Promise<void> => void (await ask(request));
  return {
    park: (point) => change({ op: 'group-park', point }),
    unpark: () => {
      // The serving thread lets go by itself should it not hear of this.
      ask({ op: 'group-unpark' }).catch((error: unknown) => log(`group saves: ${String(error)}`));
    },
    saveTentative: (point) => change({ op: 'group-save', point }),
    keep: (key) => change({ op: 'group-keep', key }),
    drop: (key) => change({ op: 'group-drop', key }),
    tentative: () => stored.tentative,
  };
}

function recordsOf({ stored, ask }: GroupRunnerParts): CommitRecords {
  const known = new Map(stored.commits.map(({ key, directors }) => [key, directors]));
  return {
    add: async (key, directors) => {
      await ask({ op: 'group-commit', key, directors });
      known.set(key, directors);
    },
    has: (key) => known.has(key),
    remove: async (key) => {
      known.delete(key);
      await ask({ op: 'group-forget', key });
    },
    all: () => [...known].map(([key, directors]) => ({ key, directors })),
  };
}
