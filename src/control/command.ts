/**
 * What a command is to those who ask for one: the control files, `mkdir` in
 * `.snapshots`, a signal. Who carries commands out implements `Commands`; who
 * asks needs to know nothing about volumes, mounts or threads.
 */
import { CommandError, FsError, messageOf } from '../lib/errors.js';
import type { Deferred } from '../lib/deferred.js';
import type { PeerAddress } from '../format/text/peer-address.js';

export const COMMAND_NAMES = [
  'save',
  'group-save',
  'restore',
  'delete',
  'rename',
  'lock',
  'unlock',
  'schedule',
  'check',
  'diff',
  'versions',
  'promote',
  'demote',
  'revert',
  'sync',
  'peer-invite',
  'peer-join',
  'peer-remove',
] as const;
export type CommandName = (typeof COMMAND_NAMES)[number];

/** A command as it was read: its name word and its options, checked by its own file. */
export interface CommandArguments {
  /** The first word: a snapshot's name, or a path for `versions`, the text of a schedule (also for `sync`). Absent: none was given. */
  name?: string;
  /** `rename`: the new name. `diff`: the second snapshot; absent there: the live tree. */
  to?: string;
  /** `diff`, `versions`: at most this many items in the answer. */
  limit?: number;
  /** `promote`, `demote`: the role epoch, when another volume has told it. */
  epoch?: number;
  /** `delete`: also what is locked. `peer-remove`: also one that needs snapshots. */
  force?: boolean;
  /** `lock`, `unlock`: why it is locked. */
  reason?: string;
  /** `unlock`: whose locks go. */
  from?: string;
  /** `sync`: what it is to do. */
  action?: 'sync' | 'pause' | 'resume' | 'schedule';
  /** `peer-invite`, `peer-join`: how the other side will be called here. `demote`: whom to follow. */
  peerName?: string;
  /** `group-save`: the other members, as they are called here. */
  peers?: readonly string[];
  /** `peer-invite`: where to await it. */
  listen?: PeerAddress;
  /** `peer-invite`: how long the token can be used. */
  validMs?: number;
}

/** The answer to a command that was done: one plain JSON-able object. */
export type Answer = Record<string, unknown>;

export interface Commands {
  /**
   * Runs one command when those before it are done. The answer comes later;
   * failures are `CommandError` (or `FsError`, which has no message for people).
   * `source` says who asked, for the history.
   */
  run(command: CommandName, args: CommandArguments, source: string): Deferred<Answer>;
}

/** The answer to a command that failed, as `result` and the control files show it. */
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
