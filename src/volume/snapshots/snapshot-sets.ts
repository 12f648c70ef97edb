/**
 * Commands about many snapshots: deleting those that words name, and pruning by
 * rules. Each is one transaction.
 *
 * What must hold: of the named ones all are deleted or none, as in ZFS. Pruning
 * leaves what is locked, as a schedule does.
 */
import { CommandError } from '../../lib/errors.js';
import {
  chooseSnapshots,
  notAllDeleted,
  type Refused,
  unknownSnapshot,
} from '../../format/text/choose.js';
import { formatKeepRules } from '../../format/text/keep-pruned.js';
import type { Schedule } from '../../format/text/schedule.js';
import type { Catalog, Snapshot } from '../catalog.js';
import type { VolumeCore } from '../core.js';
import type { SoftLocks } from '../locks/soft-locks.js';
import { type Judged, judge, type KeepReason } from './expiry.js';
import type { Schedules } from './schedules.js';
import type { SnapshotCommands } from './snapshot-commands.js';

type KeepRules = NonNullable<Schedule['keep']>;

/** Which snapshots a command is about. */
export interface SnapshotSet {
  /** Exactly these. */
  names?: readonly string[];
  /** Names, patterns, and ranges `A..B`. */
  match?: readonly string[];
  /** Of those, or of all saved ones, only what was made before. */
  beforeMs?: number;
  dryRun?: boolean;
}

/** With `dryRun`: what would be deleted, and what stands in the way. */
interface DeletedAnswer {
  command: 'delete';
  dryRun?: true;
  deleted: string[];
  refused: Refused[];
}

/** `locked`: no rule keeps it, but a lock does. */
interface KeptSnapshot {
  name: string;
  createdMs: number;
  rules: (KeepReason | { rule: 'locked' })[];
}

interface PrunedAnswer {
  command: 'prune';
  dryRun?: true;
  /** The rules. */
  keeps: string;
  deleted: string[];
  /** Oldest first. */
  kept: KeptSnapshot[];
}

export class SnapshotSets {
  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    readonly commands: SnapshotCommands,
    readonly schedules: Schedules,
    readonly locks: SoftLocks,
  ) {}

  /** `force`: also those that somebody needs. Throws not-all-deleted: then none is. */
  delete(set: SnapshotSet, source: string, force = false): DeletedAnswer {
    const { chosen, refused } = this.#chosen(set);
    for (const { name } of chosen) {
      const why = failureOf(() => this.commands.deletable(name, force));
      if (why !== undefined) refused.push(refusedAs(name, why));
    }
    const stays = new Set(refused.map(({ name }) => name));
    const deleted = chosen.map(({ name }) => name).filter((name) => !stays.has(name));
    if (set.dryRun === true) return { command: 'delete', dryRun: true, deleted, refused };
    this.commands.writable();
    if (refused.length > 0) throw notAllDeleted(refused, stays.size + deleted.length);
    return this.core.withReserve(() => {
      for (const name of deleted) this.commands.delete(name, source, force);
      return { command: 'delete', deleted, refused };
    });
  }

  /**
   * `keep`: the rules; without, those of the schedule. Without names and patterns it is about what
   * the schedule of this branch has made. Throws no-keep-rules, no-such-snapshot.
   */
  prune(set: SnapshotSet, keep: KeepRules | undefined, source: string): PrunedAnswer {
    const rules = keep ?? this.#scheduled();
    const { expired, locked, kept } = this.#judged(set, rules);
    const answer: PrunedAnswer = {
      command: 'prune',
      ...(set.dryRun === true && { dryRun: true as const }),
      keeps: formatKeepRules(rules),
      deleted: expired.map(({ name }) => name),
      kept: [
        ...kept.map(({ snapshot, reasons }) => ({ snapshot, reasons })),
        ...locked.map((snapshot) => ({ snapshot, reasons: [{ rule: 'locked' as const }] })),
      ]
        .sort((a, b) => a.snapshot.layer - b.snapshot.layer)
        .map(({ snapshot: { name, createdMs }, reasons }) => ({ name, createdMs, rules: reasons })),
    };
    if (set.dryRun === true) return answer;
    this.commands.writable();
    if (answer.deleted.length > 0) this.#delete(answer, locked, source);
    return answer;
  }

  #delete({ deleted, keeps }: PrunedAnswer, kept: readonly Snapshot[], source: string): void {
    const { catalog, commands, core } = this;
    const locked = kept.map(({ name }) => name);
    core.withReserve(() => {
      for (const name of deleted) catalog.deleteSnapshot(name);
      commands.addHistory({
        command: 'prune',
        source,
        outcome: `deleted ${deleted.length}, kept ${locked.length} locked`,
        details: { keeps, deleted, locked },
      });
      commands.line.block({ command: 'prune', timeMs: core.clock.nowMs(), why: 'deleted' });
    });
  }

  #judged(set: SnapshotSet, rules: KeepRules): Judged<Snapshot & { isLocked: boolean }> {
    const isAbout = set.names !== undefined || set.match !== undefined;
    const { chosen, refused } = isAbout
      ? this.#chosen(set)
      : { chosen: this.schedules.own(), refused: [] };
    const [unknown] = refused;
    if (unknown !== undefined) {
      throw new CommandError('no-such-snapshot', 'ENOENT', unknown.message, { ...unknown });
    }
    const judged = chosen.map((one) => ({ ...one, isLocked: this.locks.isLocked(one.uuid) }));
    return judge(rules, judged, this.core.clock.nowMs());
  }

  #scheduled(): KeepRules {
    const { schedule } = this.schedules;
    if (schedule?.keep !== undefined) return schedule.keep;
    const why = schedule === undefined ? 'there is no schedule' : 'the schedule keeps everything';
    throw new CommandError(
      'no-keep-rules',
      'ENOENT',
      `${why}: which are to be kept? (as in --keep "24 hourly 7 daily"; in the control file keep="…")`,
    );
  }

  #chosen({ names, match, beforeMs }: SnapshotSet): { chosen: Snapshot[]; refused: Refused[] } {
    const all = this.catalog.list();
    const wanted = new Set(names);
    const words = match ?? (names === undefined ? ['*'] : []);
    const { chosen, unknown } = chooseSnapshots(words, all, 'saved');
    for (const one of chosen) wanted.add(one.name);
    const before = beforeMs ?? Number.POSITIVE_INFINITY;
    const missing = (names ?? []).filter((name) => !this.catalog.snapshots.has(name));
    const why = match === undefined ? [] : unknown.map((word) => unknownSnapshot(word, all));
    const refused = [
      ...missing.map((name) =>
        refusedAs(
          name,
          failureOf(() => this.commands.require(name)),
        ),
      ),
      ...why.map((error) => refusedAs(String(error.details['name']), error)),
    ];
    const isMeant = ({ name, createdMs }: Snapshot): boolean =>
      wanted.has(name) && createdMs < before;
    return { chosen: all.filter(isMeant), refused };
  }
}

function failureOf(work: () => unknown): CommandError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
}

function refusedAs(name: string, error: CommandError | undefined): Refused {
  const { code = '', message = '', details = {} } = error ?? {};
  const { near: _near, ...more } = details;
  return { ...more, name, code, message };
}
