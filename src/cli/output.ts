/** What the command line prints, and how it ends: 0 done, 1 failed, 2 wrong usage. */
import { writeFileSync } from 'node:fs';
import { hasRawBytes, shownText } from '../lib/byte-text.js';
import { CommandError, FsError, messageOf } from '../lib/errors.js';
import { jsonLine } from '../format/text/json-text.js';

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** What can't be right whatever the mount and the volume are like: the words themselves. */
const USAGE_CODES: ReadonlySet<string> = new Set([
  'wrong-usage',
  'bad-option',
  'bad-command-line',
  'bad-schedule',
  'bad-note',
  'bad-address',
]);

/** Words of the command line that commander's definitions can't check. Exit code 2. */
export function wrongUsage(message: string): CommandError {
  return new CommandError('wrong-usage', 'EINVAL', message);
}

/** Text for a terminal: control characters would move the cursor. */
export function printable(text: string): string {
  return shownText(text);
}

/** A terminal gets no bytes that are not UTF-8, wherever in the text they stand. */
function writable(text: string): string {
  return hasRawBytes(text) ? text.split('\n').map(shownText).join('\n') : text;
}

export function printLine(text: string): void {
  process.stdout.write(`${writable(text)}\n`);
}

/** What a person must know beside the answer; in JSON answers as `warnings`. */
interface Warning {
  code: string;
  message: string;
}

const warnings: Warning[] = [];
let jsonFd: number | undefined;

export type Warn = (code: string, message: string) => void;

/** Warns on stderr at once, and in the JSON answer. */
export function noteWarning(code: string, message: string): void {
  warnings.push({ code, message });
  warn(message.split('\n').map(printable).join('\n'));
}

/** The answer of a command (an object with `ok`) and `status` also have the warnings. */
export function printJson(value: unknown): void {
  const isAnswer =
    typeof value === 'object' && value !== null && ('ok' in value || 'mountpoint' in value);
  const shown = isAnswer && warnings.length > 0 ? { ...value, warnings } : value;
  if (jsonFd === undefined) process.stdout.write(jsonLine(shown));
  else writeFileSync(jsonFd, jsonLine(shown));
}

/** From now on JSON goes there: standard output is somebody else's. */
export function sendJsonTo(fd: number): void {
  jsonFd = fd;
}

export function warn(text: string): void {
  process.stderr.write(`shadowfs: ${writable(text)}\n`);
}

/** `1 snapshot`, `2 snapshots`. Pure. */
export function counted(count: number, word: string, several = `${word}s`): string {
  return `${count} ${count === 1 ? word : several}`;
}

const twoDigits = (value: number): string => String(value).padStart(2, '0');

/** Local time of day to the second. */
export function formatTimeOfDay(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(':');
}

/** Local time to the second, with the zone: `2026-11-30 12:00:00 +0100`. */
export function formatTime(ms: number): string {
  const time = new Date(ms);
  const day = `${time.getFullYear()}-${twoDigits(time.getMonth() + 1)}-${twoDigits(time.getDate())}`;
  return `${day} ${formatTimeOfDay(time)} ${zoneText(-time.getTimezoneOffset())}`;
}

/** Minutes east of UTC, as `date +%z` writes them. */
function zoneText(minutes: number): string {
  const east = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${twoDigits(Math.floor(east / 60))}${twoDigits(east % 60)}`;
}

/** Prints the error on stderr (`--json`: the whole answer on stdout); sets the exit code. */
export function reportFailure(error: unknown, json: boolean): void {
  process.exitCode = EXIT_FAILURE;
  if (error instanceof CommandError) {
    if (USAGE_CODES.has(error.code)) process.exitCode = EXIT_USAGE;
    if (json) {
      const { code, errno, message, details } = error;
      printJson({ ok: false, code, errno, message, ...details });
    }
    warn(error.message.split('\n').map(printable).join('\n'));
    return;
  }
  const message = messageOf(error);
  if (json) {
    const errno = error instanceof FsError ? error.code : 'EIO';
    printJson({ ok: false, code: 'internal-error', errno, message });
  }
  warn(
    process.env['DEBUG'] !== undefined && error instanceof Error ? String(error.stack) : message,
  );
}
