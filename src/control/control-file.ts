/**
 * What one control file is. Each file of `commands/` gives one such description,
 * `state-files.ts` those of all others; `control-files.ts` makes a file system of them.
 */
import type { CommandLine } from '../format/text/grammar.js';
import type { Answer, CommandArguments, CommandName } from './command.js';

/** Written with one line, which runs the command; read for the answer. */
export interface CommandFile {
  kind: 'command';
  name: CommandName;
  /** The line it expects, for answers to what it does not understand. */
  expected: string;
  /** One shell line that works. */
  example: string;
  /** Checks the words of the line. Throws CommandError. */
  parse(line: CommandLine): CommandArguments;
}

/** Its content is made when it is opened. */
export interface StateFile {
  kind: 'state';
  name: string;
  content(state: ControlState): string;
  /** Takes a line. Throws FsError. Absent: the file is read-only. */
  written?(state: ControlState, text: string): void;
}

/** A read waits until there is something new. */
export interface StreamFile {
  kind: 'stream';
  name: 'events' | 'trace';
  /** It shows what others do: for the mount's owner and root. */
  isPrivate: boolean;
  /** A line that says what is wanted may be written. */
  isWritable: boolean;
}

/** Takes bytes, for as long as it is open, and answers for them. */
export interface IntakeFile {
  kind: 'intake';
  name: 'receive';
}

export type ControlFile = CommandFile | StateFile | StreamFile | IntakeFile;

/** What the state files show. Lists are generated one item at a time. */
export interface ControlState {
  status(): Record<string, unknown>;
  role(): object;
  /** How far a standby is behind. */
  lag(): object;
  snapshots(): Iterable<object>;
  /** Newest first, at most `limit`. */
  history(limit: number): Iterable<object>;
  layers(limit: number): Iterable<object>;
  /** Soft locks: what the bounds of their table allow. */
  locks(): Iterable<object>;
  /** Oldest first. */
  peers(): Iterable<object>;
  /** The last command's answer. */
  result(): Answer | undefined;
  /** Calls the listener with each command's answer when it is done. */
  watch(listener: (answer: Answer) => void): void;
  stats(): object;
  /** Counts from nothing again. */
  resetStats(): void;
}
