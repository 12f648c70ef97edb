/**
 * The interface between those who give commands (control files, `mkdir` in
 * `.snapshots`, a signal) and `Commands`, which carries them out. The former
 * need to know nothing about volumes, mounts or threads.
 */
import { CommandError, FsError, messageOf } from '../lib/errors.js';
import type { Deferred } from '../lib/deferred.js';
import type { OptionChanges } from '../format/text/volume-options.js';
import type { PeerAddress } from '../format/text/peer-address.js';
import type { Schedule } from '../format/text/schedule.js';

export const COMMAND_NAMES = [
  'save',
  'group-save',
  'restore',
  'restore-files',
  'undo',
  'delete',
  'prune',
  'rename',
  'branch',
  'branch-delete',
  'branch-rename',
  'switch',
  'merge',
  'mount',
  'lock',
  'unlock',
  'schedule',
  'options',
  'apply',
  'freeze',
  'freeze-stop',
  'compact',
  'check',
  'diff',
  'log',
  'versions',
  'space',
  'promote',
  'demote',
  'switchover',
  'revert',
  'sync',
  'peer-invite',
  'peer-join',
  'peer-remove',
] as const;
export type CommandName = (typeof COMMAND_NAMES)[number];

/** A parsed command: its name word and its options, checked by the command's own file. */
export interface CommandArguments {
  /**
   * The first word: a snapshot's name; a path for `versions` and `log`; a schedule's text
   * (also for `sync`, and what it keeps). Absent: none.
   */
  name?: string;
  /** `rename`, `branch-rename`: the new name. `diff`: the second snapshot; absent there: the live tree. */
  to?: string;
  /** `branch`: what it is forked from; absent: this mount's live tree. */
  fork?: { snapshot?: string; branch?: string; of?: string };
  /** `diff`: what this branch has done since its fork, in place of two sides. `apply`: whose tree. */
  branch?: string;
  /** `diff`: a directory that gets `before/` and `after/`, with the files that differ. */
  copies?: string;
  /**
   * `mount`: what is shown at the mountpoint, and how; `options` as after `-o`. `into`: in which
   * mount namespace, if not that of the process that serves it: `PID:NAMESPACE`.
   */
  mount?: { branch?: string; options?: string; driver?: string; source?: string; into?: string };
  /** `diff`, `restore-files`: what lies at these paths, below the mountpoint. */
  paths?: readonly string[];
  /** `diff`: a whole directory is one item. */
  fold?: boolean;
  /** `diff`, `log`, `versions`: at most this many items in the answer. */
  limit?: number;
  /** `promote`, `demote`: the role epoch, when another volume has reported it. */
  epoch?: number;
  /** `delete`: also a locked snapshot. `peer-remove`: also a peer that needs snapshots. */
  force?: boolean;
  /** `lock`, `unlock`: the reason of the lock. */
  reason?: string;
  /** `unlock`: the origin whose locks are released. */
  from?: string;
  /** `options`: the options to change. */
  changes?: OptionChanges;
  /** `sync`: the action. */
  action?: 'sync' | 'pause' | 'resume' | 'schedule' | 'keep';
  /** `peer-invite`, `peer-join`: the local name of the other side. `demote`: the peer to follow. */
  peerName?: string;
  /** `group-save`: the other members, by their local names. */
  peers?: readonly string[];
  /** `peer-invite`: the address to listen on. */
  listen?: PeerAddress;
  /** `restore`: false gives up what the tree is now. */
  keepsUndo?: boolean;
  /** `delete`, `prune`: several snapshots, in one transaction. */
  set?: { names?: readonly string[]; match?: readonly string[]; beforeMs?: number };
  /** `prune`: the rules; absent: those of the schedule. */
  keep?: NonNullable<Schedule['keep']>;
  /** `space`: snapshots, patterns, ranges or branches. */
  names?: readonly string[];
  /** `space`: branches. */
  branches?: readonly string[];
  /** `space`: so many of the largest files. */
  files?: number;
  /** `undo`: absent: back, or forward after an `undo`. */
  direction?: 'back' | 'forward';
  /** `undo`, `delete`, `prune`, `apply`, `freeze`, `merge`: only says what it would do. */
  dryRun?: boolean;
  /** `save`, `group-save`: what the snapshot is about. */
  note?: string;
  /**
   * `apply`: whose version wins where the base and the tree both changed; `merge`: where both
   * branches did.
   */
  resolve?: 'ours' | 'theirs';
  /** `merge`: what it brings is applied to the base, too. */
  apply?: boolean;
  /** `merge`: lines of text are merged. */
  text?: boolean;
  /** `apply`: what the base has afterwards is read from there. */
  givesBack?: boolean;
  /** `peer-invite`: how long the token is valid. */
  validMs?: number;
}

/** The answer to a successful command: one plain JSON-able object. */
export type Answer = Record<string, unknown>;

export interface Commands {
  /**
   * Runs one command after the earlier ones. The answer comes later; failures
   * are `CommandError` (or `FsError`, which has no message for people).
   * `source` names the caller, for the history.
   */
  run(command: CommandName, args: CommandArguments, source: string): Deferred<Answer>;
  /**
   * A control file did not understand what was written, so that nothing ran: this answer is the
   * last one now.
   */
  refused(answer: Answer): void;
}

/** The answer to a failed command, as `result` and the control files show it. */
export function failureAnswer(command: string, error: unknown): Answer {
  if (error instanceof CommandError) {
    return {
      ok: false,
      command,
      code: error.code,
      errno: error.errno,
      message: error.message,
      ...error.details,
    };
  }
  if (error instanceof FsError) {
    return {
      ok: false,
      command,
      code: 'file-system-error',
      errno: error.code,
      message: error.message,
    };
  }
  const message = messageOf(error);
  return { ok: false, command, code: 'internal-error', errno: 'EIO', message };
}

/** The errno that `write(2)` on a control file returns for a failure. */
export function asFsError(error: unknown, syscall: string): FsError {
  if (error instanceof FsError) return error;
  if (error instanceof CommandError) return new FsError(error.errno, syscall, error.code);
  return new FsError('EIO', syscall, messageOf(error));
}
