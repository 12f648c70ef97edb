/**
 * The options of a mount and of a new volume, from `-o key=value,…` and long
 * options. Pure. A new option is a field and a row of SETTERS here; `-o` and
 * fstab know it then. It takes effect in `src/daemon/serve/`: `daemon.ts` for
 * what the kernel is told, `open-volume.ts` for a new volume (and what an
 * existing one must agree with), `mount-server.ts` for the rest.
 */
import { checkBranchName } from '../../format/text/grammar.js';
import {
  badOption as bad,
  type OptionChanges,
  parseSwitch,
  setVolumeOption,
  VOLUME_OPTION_KEYS,
} from '../../format/text/volume-options.js';

export interface MountOptions {
  /** Options of a new volume; an existing one must have them. */
  creation: OptionChanges;
  readOnly: boolean;
  allowOther: boolean;
  /** Set-user-id bits, device files and programs do not count in the mount. */
  nosuid: boolean;
  nodev: boolean;
  noexec: boolean;
  /** The device that mount, df and findmnt show; absent: the base. */
  fsname?: string;
  /** The branch whose tree is shown; absent: the one that `switch` chose last, or `main`. */
  branch?: string;
  /** Accept a base that is a different directory from the volume's. */
  reattach: boolean;
  /**
   * The kernel may keep written data for up to half a minute and write it in larger pieces. Many
   * small writes into large files become faster, everything else slower (decision 0005). Off: a
   * write has reached the volume when it returns.
   */
  writeback: boolean;
  /** Programs that watch files are told what a restore changed (native-notes/watchers.md). */
  notify: boolean;
}

const ACCESS_TIMES = new Set(['atime', 'relatime', 'strictatime', 'diratime']);

/** Why the option is refused, if it asks that reads change access times. */
export function accessTimeRefusal(key: string): string | undefined {
  if (!ACCESS_TIMES.has(key)) return undefined;
  return `${key}: reads never change access times, the mount is noatime`;
}

type Setter = (options: MountOptions, key: string, value: string) => void;

const SETTERS: Record<string, Setter> = {
  fsname: (o, key, value) => {
    if (value === '') throw bad(`${key}=: expected a name`);
    o.fsname = value;
  },
  branch: (o, key, value) => {
    const reason = checkBranchName(value);
    if (reason !== undefined) throw bad(`${key}=${value}: ${reason}`);
    o.branch = value;
  },
  ro: (o, key, value) => (o.readOnly = parseSwitch(key, value)),
  reattach: (o, key, value) => (o.reattach = parseSwitch(key, value)),
  writeback: (o, key, value) => (o.writeback = parseSwitch(key, value)),
  notify: (o, key, value) => (o.notify = parseSwitch(key, value)),
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

export const OPTION_KEYS = [...VOLUME_OPTION_KEYS, ...Object.keys(SETTERS)];

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
    notify: true,
  };
  for (const item of lists.flatMap((list) => list.split(','))) {
    if (item === '') continue;
    const equals = item.indexOf('=');
    const key = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? '' : item.slice(equals + 1);
    const set = Object.hasOwn(SETTERS, key) ? SETTERS[key] : undefined;
    const refusal = accessTimeRefusal(key);
    if (refusal !== undefined) throw bad(refusal);
    if (setVolumeOption(options.creation, key, value)) continue;
    if (set === undefined) throw bad(`unknown option ${key}; known: ${OPTION_KEYS.join(' ')}`);
    set(options, key, value);
  }
  return options;
}
