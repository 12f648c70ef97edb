/**
 * Parses the words that mount(8) and umount(8) pass to their helpers. Pure.
 *
 *   mount.shadowfs SPEC DIR [-sfnvrw] [-t TYPE] [-N NAMESPACE] [-o OPTION,…]
 *   umount.shadowfs DIR [-flnrv] [-t TYPE] [-N NAMESPACE]
 */
import { CommandError } from '../../lib/errors.js';
import { accessTimeRefusal, OPTION_KEYS } from '../../daemon/mount/mount-options.js';
import type { DriverChoice } from '../../daemon/mount/mount-plan.js';

export interface MountWords {
  /** The base directory; `none` or `shadowfs`: no base. */
  spec: string;
  directory: string;
  volume: string | undefined;
  driver: DriverChoice;
  /** `-o` words for the volume and the kernel, as `parseMountOptions` takes them. */
  options: string[];
  remount: boolean;
  fake: boolean;
  verbose: boolean;
  /** Requested options that are not available: the mount is made without them, with a message. */
  notes: string[];
}

export interface UmountWords {
  directory: string;
  lazy: boolean;
  force: boolean;
  readOnlyWhenBusy: boolean;
  verbose: boolean;
}

/** Options for mount(8), systemd or boot scripts, and options that always hold here. */
const IGNORED = new Set([
  ...['defaults', 'auto', 'noauto', 'nofail', '_netdev', 'user', 'users', 'nouser', 'owner'],
  ...['group', 'noowner', 'nogroup', 'async', 'silent', 'loud', 'nomand', 'noiversion', 'comment'],
  ...['norelatime', 'nodiratime', 'nostrictatime', 'lazytime', 'nolazytime'],
  'default_permissions',
]);

/** Options that the kernel's table adds; mount(8) passes them back in a remount. */
const OF_THE_TABLE = new Set([
  ...['fd', 'rootmode', 'user_id', 'group_id', 'max_read', 'blksize', 'fsname', 'subtype'],
]);

export const NO_BASE = new Set(['none', 'shadowfs']);

function usage(message: string): CommandError {
  return new CommandError('bad-option', 'EINVAL', message);
}

export const DRIVERS = ['kernel', 'fuse-native', 'auto'] as const satisfies DriverChoice[];

/** Throws CommandError `bad-option`. */
function driverOf(name: string): DriverChoice {
  const driver = DRIVERS.find((one) => one === name);
  if (driver !== undefined) return driver;
  throw usage(`driver ${name}: expected kernel, fuse-native or auto`);
}

/** The items of `a,b="x,y",c=z`, without the quotes that protect commas. */
export function splitOptions(text: string): string[] {
  const items = text.match(/(?:"[^"]*"|[^,"])+/g) ?? [];
  return items.map((item) => item.replaceAll('"', ''));
}

interface Words {
  plain: string[];
  flags: Set<string>;
  options: string[];
}

/** Flags may come before, between and after the other words, and joined in one word. */
function takeApart(argv: readonly string[], known: string, synopsis: string): Words {
  const words: Words = { plain: [], flags: new Set(), options: [] };
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!word.startsWith('-') || word === '-') {
      words.plain.push(word);
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const flag = word.charAt(at);
      if ('otN'.includes(flag)) {
        const value = at + 1 < word.length ? word.slice(at + 1) : rest.shift();
        if (value === undefined) throw usage(`-${flag} needs a value; ${synopsis}`);
        if (flag === 'N') throw usage('-N: other namespaces are not supported');
        if (flag === 'o') words.options.push(...splitOptions(value));
        break;
      }
      if (!known.includes(flag)) throw usage(`unknown option -${flag}; ${synopsis}`);
      words.flags.add(flag);
    }
  }
  return words;
}

/** Throws CommandError `bad-option`. */
export function parseMountWords(argv: readonly string[]): MountWords {
  const synopsis = 'usage: mount.shadowfs BASE|none DIR [-sfnvrw] [-o OPTION,…]';
  const { plain, flags, options } = takeApart(argv, 'sfnvrw', synopsis);
  const [spec, directory] = plain;
  if (spec === undefined || directory === undefined || plain.length > 2) throw usage(synopsis);
  if (directory.startsWith('/dev/fd/')) {
    throw usage('drop_privileges: the mount has to be made by shadowfs itself');
  }
  const words: MountWords = {
    spec,
    directory,
    volume: undefined,
    driver: 'auto',
    options: [],
    remount: options.includes('remount'),
    fake: flags.has('f'),
    verbose: flags.has('v'),
    notes: [],
  };
  if (flags.has('r')) options.push('ro');
  if (flags.has('w')) options.push('rw');
  for (const option of options) {
    const equals = option.indexOf('=');
    const key = equals < 0 ? option : option.slice(0, equals);
    const refusal = accessTimeRefusal(key);
    if (refusal !== undefined) words.notes.push(refusal);
    else if (key === 'volume') {
      const path = option.slice(key.length + 1);
      if (!path.startsWith('/')) throw usage('volume=PATH: expected an absolute path');
      words.volume = path;
    } else if (key === 'driver') words.driver = driverOf(option.slice(key.length + 1));
    else if (OPTION_KEYS.includes(key)) words.options.push(option);
    else if (IGNORED.has(key) || /^x-/i.test(key) || key === 'remount') continue;
    else if (words.remount && OF_THE_TABLE.has(key)) continue;
    else if (!flags.has('s')) {
      throw usage(`unknown option ${key}; known: volume driver ${OPTION_KEYS.join(' ')}`);
    }
  }
  return words;
}

/** Throws CommandError `bad-option`. */
export function parseUmountWords(argv: readonly string[]): UmountWords {
  const synopsis = 'usage: umount.shadowfs DIR [-flnrv]';
  const { plain, flags } = takeApart(argv, 'flnrv', synopsis);
  const [directory] = plain;
  if (directory === undefined || plain.length > 1) throw usage(synopsis);
  return {
    directory,
    lazy: flags.has('l'),
    force: flags.has('f'),
    readOnlyWhenBusy: flags.has('r'),
    verbose: flags.has('v'),
  };
}
