/**
 * The grammar of the control files, and the rules for snapshot names. Pure.
 *
 * A command is one line: `NAME [key=value …]`. Words are separated by spaces
 * or tabs. Double quotes keep spaces. `\xNN` (two hexadecimal digits) is a byte;
 * otherwise a backslash makes the next character an ordinary one, inside quotes
 * too. A word with a plain (not quoted, not escaped) `=` is an option; so `"a=b"`
 * and `a\=b` are names. The line may hold any bytes but NUL; what is not UTF-8
 * becomes text as lib/byte-text.ts says. What the command line prints in double
 * quotes is a word here.
 *
 * What must hold: any input ends in a result or a CommandError, in linear time;
 * `parseCommandLine(formatCommandLine(x))` returns x.
 *
 * Doors: every file.
 */
import { bytesOfText, hasRawBytes, quoted, textOfBytes } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';

/** Longest command line in bytes, its newline not counted. */
export const MAX_COMMAND_LENGTH = 64 * 1024;
/** Longest snapshot name in bytes of UTF-8. */
export const MAX_SNAPSHOT_NAME_LENGTH = 255;
/** Only `restore` gives names that start with this. */
export const UNDO_PREFIX = 'undo-';
/** The dynamic link in `.snapshots`; never a snapshot's name. */
export const LATEST_NAME = 'latest';

export interface CommandLine {
  /** Absent when the line has no name; `""` gives the empty string. */
  name?: string;
  options: ReadonlyMap<string, string>;
}

const OPTION_KEY = /^[a-z][a-z0-9-]{0,63}$/;
const PLAIN_WORD = /^[^\s"\\=]+$/u;
const MAX_NEAR_DISTANCE = 3;
const MAX_NEAR_MATCHES = 5;

function bad(message: string): CommandError {
  return new CommandError('bad-command-line', 'EINVAL', message, {
    expected: 'NAME [key=value …]',
  });
}

/** Cuts a text to a readable length for messages. */
export function shorten(text: string, maxLength = 80): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1)}…`;
}

/** A word that was read; `equals` is the index in `text` of its first plain `=`, or -1. */
interface Word {
  text: string;
  equals: number;
}

/** Of several such bytes, those that are UTF-8 together become characters in `wordText`. */
function rawByte(byte: number): string {
  if (byte === 0) throw bad('the line holds a NUL byte');
  return textOfBytes(Uint8Array.of(byte));
}

function wordText(text: string): string {
  return hasRawBytes(text) ? textOfBytes(bytesOfText(text)) : text;
}

/** The words of a line. A word ends at a space or tab outside quotes. */
function splitWords(line: string): Word[] {
  const words: Word[] = [];
  let pieces: string[] = [];
  let length = 0;
  let equals = -1;
  let inWord = false;
  let inQuotes = false;
  const take = (piece: string): void => {
    inWord = true;
    pieces.push(piece);
    length += piece.length;
  };
  for (let i = 0; i < line.length; i++) {
    const char = line[i] as string;
    if (char === '\\') {
      i++;
      if (i === line.length) throw bad('a backslash at the end of the line escapes nothing');
      const digits = /^x([0-9a-fA-F]{2})/.exec(line.slice(i, i + 3))?.[1];
      if (digits === undefined) take(line[i] as string);
      else {
        take(rawByte(Number.parseInt(digits, 16)));
        i += 2;
      }
    } else if (char === '"') {
      inQuotes = !inQuotes;
      inWord = true;
    } else if ((char === ' ' || char === '\t') && !inQuotes) {
      if (inWord) words.push({ text: pieces.join(''), equals });
      pieces = [];
      length = 0;
      equals = -1;
      inWord = false;
    } else {
      if (char === '=' && !inQuotes && equals < 0) equals = length;
      take(char);
    }
  }
  if (inQuotes) throw bad('a double quote is not closed');
  if (inWord) words.push({ text: pieces.join(''), equals });
  return words;
}

/**
 * Parses one command line. One newline (or CR LF) at the end is allowed, none
 * inside. Throws CommandError `bad-command-line` (EINVAL) with a message that
 * says what is wrong. It checks neither whether the options are known
 * (`refuseUnknownOptions`) nor the name (`checkSnapshotName`).
 */
export function parseCommandLine(input: string | Uint8Array): CommandLine {
  // Bounds the work before decoding: a character is at least one byte.
  if (input.length > MAX_COMMAND_LENGTH + 2) {
    throw bad(`the line is longer than ${MAX_COMMAND_LENGTH} bytes`);
  }
  const text = typeof input === 'string' ? input : textOfBytes(input);
  const line = text.replace(/\r?\n$/, '');
  if (bytesOfText(line).length > MAX_COMMAND_LENGTH) {
    throw bad(`the line is longer than ${MAX_COMMAND_LENGTH} bytes`);
  }
  if (line.includes('\n')) throw bad('one command is one line; a second line follows');
  if (line.includes('\0')) throw bad('the line holds a NUL byte');

  let name: string | undefined;
  const options = new Map<string, string>();
  for (const word of splitWords(line)) {
    if (word.equals < 0) {
      if (name !== undefined) {
        throw bad(
          `one name expected, found "${shorten(name)}" and "${shorten(word.text)}" ` +
            '(put a name with spaces into double quotes)',
        );
      }
      name = wordText(word.text);
      continue;
    }
    const key = word.text.slice(0, word.equals);
    if (!OPTION_KEY.test(key)) {
      throw bad(`"${shorten(key)}" is not an option key (put a name with = into double quotes)`);
    }
    if (options.has(key)) throw bad(`the option ${key} is given twice`);
    options.set(key, wordText(word.text.slice(word.equals + 1)));
  }
  return name === undefined ? { options } : { name, options };
}

/** Throws CommandError `bad-command-line` when the line has an option outside `known`. */
export function refuseUnknownOptions(line: CommandLine, known: readonly string[]): void {
  for (const key of line.options.keys()) {
    if (known.includes(key)) continue;
    const expected = known.length === 0 ? 'no options are known here' : `known: ${known.join(' ')}`;
    throw bad(`unknown option "${shorten(key)}"; ${expected}`);
  }
}

function formatWord(word: string): string {
  if (word.includes('\0')) throw bad('a NUL byte has no place in a command');
  return PLAIN_WORD.test(word) && !hasRawBytes(word) ? word : quoted(word);
}

/**
 * The line, newline included, that parses to `line`. Throws CommandError
 * `bad-command-line` when a text holds NUL, which no name can hold.
 */
export function formatCommandLine(line: CommandLine): string {
  const words: string[] = [];
  if (line.name !== undefined) words.push(formatWord(line.name));
  for (const [key, value] of line.options) {
    if (!OPTION_KEY.test(key)) throw bad(`"${shorten(key)}" is not an option key`);
    words.push(`${key}=${value === '' ? '' : formatWord(value)}`);
  }
  return `${words.join(' ')}\n`;
}

/**
 * Why `name` can't be a snapshot's name, or undefined when it can. `use` is
 * 'target' for a name given by a user (save, rename); 'existing' also allows
 * the automatic `undo-…` names.
 */
export function checkSnapshotName(
  name: string,
  use: 'target' | 'existing' = 'target',
): string | undefined {
  if (name === '') return 'it is empty';
  // The length in UTF-16 units is a lower bound of the bytes, so this stays fast.
  if (
    name.length > MAX_SNAPSHOT_NAME_LENGTH ||
    Buffer.byteLength(name) > MAX_SNAPSHOT_NAME_LENGTH
  ) {
    return `it is longer than ${MAX_SNAPSHOT_NAME_LENGTH} bytes`;
  }
  if (/\p{Surrogate}/u.test(name)) return 'it is not valid Unicode';
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) return 'it holds a control character';
  if (name.includes('/')) return 'it holds a slash';
  if (name === '.' || name === '..') return 'it names a directory';
  if (/^\s|\s$/u.test(name)) return 'it begins or ends with a space';
  if (name === LATEST_NAME) return 'it always means the newest snapshot';
  if (use === 'target' && name.startsWith(UNDO_PREFIX)) {
    return `names that begin with "${UNDO_PREFIX}" are those of undo snapshots`;
  }
  return undefined;
}

/** Why it can't be a branch's name; undefined: it can. */
export function checkBranchName(name: string): string | undefined {
  return checkSnapshotName(name, 'existing')?.replace('snapshot name', 'branch name');
}

/**
 * Edit distance (insert, delete, replace), or `limit + 1` when it is larger.
 * Takes length × limit steps.
 */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  const far = limit + 1;
  let above: number[] = Array.from({ length: b.length + 1 }, (_, j) => Math.min(j, far));
  for (let i = 1; i <= a.length; i++) {
    const row: number[] = new Array<number>(b.length + 1).fill(far);
    if (i <= limit) row[0] = i;
    let best = row[0] as number;
    const last = Math.min(b.length, i + limit);
    for (let j = Math.max(1, i - limit); j <= last; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const distance = Math.min(
        (above[j - 1] as number) + cost,
        (above[j] as number) + 1,
        (row[j - 1] as number) + 1,
        far,
      );
      row[j] = distance;
      best = Math.min(best, distance);
    }
    if (best >= far) return far;
    above = row;
  }
  return above[b.length] as number;
}

/**
 * Suggestions for a mistyped `name`: the candidates within an edit distance of
 * 3 (ignoring case, with at least one character in common), or that start with
 * `name`. The best five, nearest first.
 */
export function nearMatches(name: string, candidates: Iterable<string>): string[] {
  const wanted = name.toLowerCase();
  // No snapshot name is that long, so none is near it.
  if (wanted.length > MAX_SNAPSHOT_NAME_LENGTH + MAX_NEAR_DISTANCE) return [];
  const near: { candidate: string; rank: number }[] = [];
  for (const candidate of candidates) {
    const other = candidate.toLowerCase();
    const distance = editDistance(wanted, other, MAX_NEAR_DISTANCE);
    if (distance <= MAX_NEAR_DISTANCE && distance < Math.max(wanted.length, other.length, 1)) {
      near.push({ candidate, rank: distance });
    } else if (wanted !== '' && other.startsWith(wanted)) {
      near.push({ candidate, rank: MAX_NEAR_DISTANCE + 1 });
    }
  }
  near.sort((a, b) => a.rank - b.rank || (a.candidate < b.candidate ? -1 : 1));
  return near.slice(0, MAX_NEAR_MATCHES).map((match) => match.candidate);
}

/** The end of a message about a name that is not there. */
export function nearHint(near: readonly string[]): string {
  return near.length > 0 ? `; did you mean ${near.join(', ')}?` : '';
}
