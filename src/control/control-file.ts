/**
 * What one control file is. Each command's file in `commands/` gives one such
 * description, `state-files.ts` those of all others; `commands/files.ts` lists
 * them, and `control-files.ts` makes a file system of them.
 */
import type { CommandLine } from '../format/text/grammar.js';
import type { Answer, CommandArguments, CommandName } from './command.js';

/** One line written to it runs the command; a read returns the answer. */
export interface CommandFile {
  kind: 'command';
  name: CommandName;
  /** The line it expects, shown after an invalid line. */
  expected: string;
  /** A shell line that works. */
  example: string;
  /** Checks the words of the line. Throws CommandError. */
  parse(line: CommandLine): CommandArguments;
}

/** A file whose content is made when it is opened. */
export interface StateFile {
  kind: 'state';
  name: string;
  content(state: ControlState): string | Buffer;
  /** Accepts a line. Throws CommandError. Absent: the file is read-only. */
  written?(state: ControlState, text: string): void;
}

/** A file whose reads wait for something new. */
export interface StreamFile {
  kind: 'stream';
  name: 'events' | 'trace';
  /** It shows what other users do: only for the mount's owner and root. */
  isPrivate: boolean;
  /** A line that selects what to show may be written. */
  isWritable: boolean;
}

/** Accepts bytes while it is open, and answers at the end. */
export interface IntakeFile {
  kind: 'intake';
  name: 'receive';
}

export type ControlFile = CommandFile | StateFile | StreamFile | IntakeFile;

/** The data of the state files. Lists are generated one item at a time. */
export interface ControlState {
  status(): Record<string, unknown>;
  role(): object;
  /** How far a standby is behind. */
  lag(): object;
  snapshots(): Iterable<object>;
  /** `main` first. */
  branches(): Iterable<object>;
  /** Newest first, at most `limit`. */
  history(limit: number): Iterable<object>;
  layers(limit: number): Iterable<object>;
  /** Soft locks; the limits of their table bound their number. */
  locks(): Iterable<object>;
  /** Oldest first. */
  peers(): Iterable<object>;
  /** The last command's answer. */
  result(): Answer | undefined;
  /** Calls the listener with each command's answer when it is done. */
  watch(listener: (answer: Answer) => void): void;
  stats(): object;
  /** Resets the counts. */
  resetStats(): void;
}
