/**
 * The options of a mount and of a new volume, from `-o key=value,…` and long
 * options. Pure. A new option is a field and a row of SETTERS here; `-o` and
 * fstab know it then. It takes effect in `src/daemon/serve/`: `daemon.ts` for
 * what the kernel is told, `open-volume.ts` for a new volume (and what an
 * existing one must agree with), `mount-server.ts` for the rest.
 */
import { CommandError } from '../../lib/errors.js';

/**
 * Options of a new volume; absent: the default. For an existing volume they must agree or be
 * changeable.
 */
export interface CreationOptions {
  blockSize?: number;
  compression?: boolean;
  quotaBytes?: number;
  keepUndo?: number;
  snapshotsName?: string;
  controlName?: string;
}

export interface MountOptions {
  creation: CreationOptions;
  readOnly: boolean;
  allowOther: boolean;
  /** Set-user-id bits, device files and programs do not count in the mount. */
  nosuid: boolean;
  nodev: boolean;
  noexec: boolean;
  /** Accept a base that is a different directory from the volume's. */
  reattach: boolean;
  /**
   * The kernel may keep written data for up to half a minute and write it in larger pieces. Many
   * small writes into large files become faster, everything else slower (decision 0005). Off: a
   * write has reached the volume when it returns.
   */
  writeback: boolean;
}

const SIZE_UNITS: Record<string, number> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

function bad(message: string): CommandError {
  return new CommandError('bad-option', 'EINVAL', message);
}

/** Bytes of `4096`, `32K`, `10G` … */
export function parseSize(key: string, text: string): number {
  const match = /^(\d{1,15})([KMGT]?)(?:i?B)?$/i.exec(text);
  const bytes = Number(match?.[1]) * (SIZE_UNITS[(match?.[2] ?? '').toUpperCase()] ?? 1);
  if (match === null || !Number.isSafeInteger(bytes)) {
    throw bad(`${key}=${text}: expected a size such as 32K or 10G`);
  }
  return bytes;
}

function parseSwitch(key: string, text: string): boolean {
  if (text === 'on' || text === 'yes' || text === '') return true;
  if (text === 'off' || text === 'no') return false;
  throw bad(`${key}=${text}: expected on or off`);
}

function parseCount(key: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw bad(`${key}=${text}: expected a number`);
  return Number(text);
}

const ACCESS_TIMES = new Set(['atime', 'relatime', 'strictatime', 'diratime']);

/** Why the option is refused, if it asks that reads change access times. */
export function accessTimeRefusal(key: string): string | undefined {
  if (!ACCESS_TIMES.has(key)) return undefined;
  return `${key}: reads never change access times, the mount is noatime`;
}

type Setter = (options: MountOptions, key: string, value: string) => void;

const SETTERS: Record<string, Setter> = {
  'block-size': (o, key, value) => (o.creation.blockSize = parseSize(key, value)),
  compression: (o, key, value) => (o.creation.compression = parseSwitch(key, value)),
  quota: (o, key, value) => (o.creation.quotaBytes = parseSize(key, value)),
  'keep-undo': (o, key, value) => (o.creation.keepUndo = parseCount(key, value)),
  'snapshots-name': (o, _key, value) => (o.creation.snapshotsName = value),
  'control-name': (o, _key, value) => (o.creation.controlName = value),
  ro: (o, key, value) => (o.readOnly = parseSwitch(key, value)),
  reattach: (o, key, value) => (o.reattach = parseSwitch(key, value)),
  writeback: (o, key, value) => (o.writeback = parseSwitch(key, value)),
  rw: (o) => (o.readOnly = false),
  nosuid: (o) => (o.nosuid = true),
  suid: (o) => (o.nosuid = false),
  nodev: (o) => (o.nodev = true),
  dev: (o) => (o.nodev = false),
  noexec: (o) => (o.noexec = true),
  exec: (o) => (o.noexec = false),
  // The mount always works so.
  noatime: () => undefined,
  'allow-other': (o, key, value) => (o.allowOther = parseSwitch(key, value)),
  allow_other: (o, key, value) => (o.allowOther = parseSwitch(key, value)),
};

export const OPTION_KEYS = Object.keys(SETTERS);

/** `lists`: each `key=value,key,…`; later ones win. Throws CommandError `bad-option`. */
export function parseMountOptions(lists: readonly string[]): MountOptions {
  const options: MountOptions = {
    creation: {},
    readOnly: false,
    allowOther: false,
    nosuid: false,
    nodev: false,
    noexec: false,
    reattach: false,
    writeback: false,
  };
  for (const item of lists.flatMap((list) => list.split(','))) {
    if (item === '') continue;
    const equals = item.indexOf('=');
    const key = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? '' : item.slice(equals + 1);
    const set = Object.hasOwn(SETTERS, key) ? SETTERS[key] : undefined;
    const refusal = accessTimeRefusal(key);
    if (refusal !== undefined) throw bad(refusal);
    if (set === undefined) throw bad(`unknown option ${key}; known: ${OPTION_KEYS.join(' ')}`);
    set(options, key, value);
  }
  return options;
}
