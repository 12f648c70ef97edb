/** Words that several command files parse in the same way. */
import { CommandError } from '../../lib/errors.js';
import {
  checkSnapshotName,
  type CommandLine,
  LATEST_NAME,
  shorten,
} from '../../format/text/grammar.js';
import { noteOf } from '../../format/text/note.js';
import { isPeerName } from '../../format/records/peer-record.js';

/** A checked snapshot name; `what` names it in errors. Throws CommandError. */
export function snapshotNameOf(
  name: string | undefined,
  what: string,
  use: 'target' | 'existing',
): string {
  if (name === undefined)
    throw new CommandError('bad-command-line', 'EINVAL', `${what} is missing`);
  const objection = checkSnapshotName(name, use);
  if (objection === undefined) return name;
  throw new CommandError(
    'bad-snapshot-name',
    'EINVAL',
    `${JSON.stringify(shorten(name))} can't be the name of a snapshot: ${objection}`,
  );
}

/** The name of an existing snapshot, or `latest`. */
export function existingOf(name: string | undefined, what: string): string {
  return name === LATEST_NAME ? name : snapshotNameOf(name, what, 'existing');
}

/** The option `KEY=yes`. */
export function isYes(line: CommandLine, key: string): boolean {
  const text = line.options.get(key);
  if (text === undefined || text === 'yes') return text === 'yes';
  throw new CommandError('bad-command-line', 'EINVAL', `${key}=${text}: ${key}=yes is expected`);
}

/** The option `limit=N`, a count from 1. */
export function limitOf(line: CommandLine): { limit?: number } {
  const text = line.options.get('limit');
  if (text === undefined) return {};
  const limit = Number(text);
  if (!/^\d{1,9}$/.test(text) || limit < 1) {
    throw new CommandError(
      'bad-command-line',
      'EINVAL',
      `limit=${text}: a number from 1 is expected`,
    );
  }
  return { limit };
}

/** The name word as a path below the mountpoint. */
export function filePathOf(line: CommandLine): string {
  if (line.name !== undefined) return line.name.replace(/^\/+|\/+$/g, '');
  throw new CommandError('bad-command-line', 'EINVAL', 'the path of a file is missing');
}

/** The option `path=PATH//PATH…`: paths below the mountpoint, in which no two slashes meet. */
export function pathsOf(line: CommandLine): { paths?: string[] } {
  const text = line.options.get('path');
  if (text === undefined) return {};
  return { paths: text.split('//').map((path) => path.replace(/^\/|\/$/g, '')) };
}

/** The option `epoch=N`. */
export function epochOf(line: CommandLine): { epoch?: number } {
  const text = line.options.get('epoch');
  if (text === undefined) return {};
  if (/^\d{1,15}$/.test(text)) return { epoch: Number(text) };
  throw new CommandError('bad-command-line', 'EINVAL', `epoch=${text}: a number is expected`);
}

/** A checked name for a peer. Throws CommandError. */
export function peerNameOf(name: string): string {
  if (isPeerName(name)) return name;
  throw new CommandError(
    'bad-peer-name',
    'EINVAL',
    `${JSON.stringify(shorten(name))} is not a valid peer name: up to 64 letters, digits and . _ : @ + -`,
  );
}

/**
 * The option `note=TEXT`, or `note-json="TEXT"` with a JSON string: a line has no other way to hold
 * a line break. Throws CommandError.
 */
export function noteIn(line: CommandLine): { note?: string } {
  const plain = line.options.get('note');
  const json = line.options.get('note-json');
  if (plain !== undefined && json !== undefined) {
    throw new CommandError('bad-command-line', 'EINVAL', 'note and note-json: one is expected');
  }
  if (json === undefined) return plain === undefined ? {} : { note: noteOf(plain) };
  let text: unknown;
  try {
    text = JSON.parse(json);
  } catch {
    // The error is thrown below.
  }
  if (typeof text === 'string') return { note: noteOf(text) };
  throw new CommandError('bad-command-line', 'EINVAL', 'note-json: a JSON string is expected');
}
