/**
 * Random scripts of system calls for the differential fuzzer. A script depends
 * on its seed and setting alone, never on what calls answer: names come from a
 * small set, descriptors stand in numbered slots, so that any part of a script
 * is a script too and a failing one can be shrunk by leaving operations out.
 */
import { Random } from '../model/random.js';

/** One operation; without `by` it is one of the controlling process. */
export type Operation = { op: string; by?: number } & Record<string, unknown>;

export interface Setting {
  /** Worker processes. */
  workers: number;
  /** Files are also mapped; then their times are not compared. */
  maps: boolean;
  /** Owners keep their rights, since an ordinary user has to copy the tree. */
  gentle: boolean;
  /** Some calls need root. */
  asRoot: boolean;
}

const O = {
  WRONLY: 0o1,
  RDWR: 0o2,
  CREAT: 0o100,
  EXCL: 0o200,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  SYNC: 0o4010000,
  TMPFILE: 0o20200000,
};

const HOSTILE = ['\xff\xfe', 'new\nline', ' ', '\'"$`', '-rf', 'n'.repeat(255), '\xc3\xa4', '*'];
const IMPOSSIBLE = ['n'.repeat(256), '', 'a/', 'b/.', 'a/../b', '.', 'a//b'];
const SLOTS = 6;
const UTIME_NOW = (1 << 30) - 1;
const UTIME_OMIT = (1 << 30) - 2;
const CLOCK_S = 1_600_000_000;
const OTHER_UID = 12345;
const XATTRS = ['user.a', 'user.b', `user.long${'x'.repeat(200)}`, 'user.', 'bogus', 'system.x'];
const ROOT_XATTRS = ['trusted.t', 'security.s', ...XATTRS];

type Make = (g: Chooser) => Record<string, unknown>;

class Chooser {
  constructor(
    readonly random: Random,
    readonly setting: Setting,
  ) {}

  #component(): string {
    if (this.random.chance(0.04)) return this.random.pick(HOSTILE);
    return this.random.pick(['a', 'b', 'c', 'd', 'e', 'f']);
  }

  path(): string {
    const { random } = this;
    if (random.chance(0.03)) return random.pick(IMPOSSIBLE);
    const depth = random.weighted([
      [5, 1],
      [4, 2],
      [1, 3],
    ]);
    return Array.from({ length: depth }, () => this.#component()).join('/');
  }

  slot(): number {
    return this.random.below(SLOTS);
  }

  /** Near the borders of pages and blocks. */
  offset(): number {
    const { random } = this;
    if (random.chance(0.01)) return random.pick([2 ** 31, 2 ** 32 - 1, 2 ** 33 + 5, 2 ** 40]);
    const unit = random.pick([1, 512, 4096, 32768]);
    return Math.max(0, unit * random.below(unit === 1 ? 5000 : 12) + random.pick([-1, 0, 0, 1]));
  }

  length(): number {
    const { random } = this;
    return random.weighted([
      [1, 0],
      [4, random.between(1, 100)],
      [3, random.between(1, 10_000)],
      [2, random.pick([4096, 8192, 32768, 65536])],
      [1, random.between(1, 150_000)],
    ]);
  }

  mode(): number {
    const { random, setting } = this;
    const mode = random.pick([0o644, 0o755, 0o600, 0o777, 0o000, 0o4755, 0o2755, 0o6711, 0o1777]);
    return setting.gentle ? mode | 0o700 : mode;
  }

  owner(): { uid: number; gid: number } {
    const ids = [-1, 0, OTHER_UID, OTHER_UID + 1];
    return { uid: this.random.pick(ids), gid: this.random.pick(ids) };
  }

  times(): number[] {
    const { random } = this;
    const one = (): number[] => [
      random.chance(0.1) ? random.between(-100, 0) : CLOCK_S + random.below(1e8),
      random.weighted([
        [4, random.below(1e9)],
        [1, UTIME_NOW],
        [1, UTIME_OMIT],
        [0.2, 1e9],
      ]),
    ];
    return [...one(), ...one()];
  }

  xattr(): string {
    return this.random.pick(this.setting.asRoot ? ROOT_XATTRS : XATTRS);
  }

  /** A file by path or by descriptor. */
  target(): Record<string, unknown> {
    if (this.random.chance(0.3)) return { fd: this.slot() };
    return { path: this.path(), follow: this.random.chance(0.5) };
  }
}

function openFlags(g: Chooser): number {
  const { random } = g;
  let flags = random.pick([0, O.WRONLY, O.RDWR, O.RDWR]);
  if (random.chance(0.6)) flags |= O.CREAT;
  if (random.chance(0.1)) flags |= O.EXCL;
  if (random.chance(0.12)) flags |= O.TRUNC;
  if (random.chance(0.15)) flags |= O.APPEND;
  if (random.chance(0.04)) flags |= O.NOFOLLOW;
  if (random.chance(0.04)) flags |= O.SYNC;
  if (random.chance(0.03)) flags = O.DIRECTORY;
  return flags;
}

const FILE_CALLS: readonly (readonly [number, string, Make])[] = [
  [14, 'open', (g) => ({ fd: g.slot(), path: g.path(), flags: openFlags(g), mode: g.mode() })],
  [2, 'open', (g) => ({ fd: g.slot(), path: '.', flags: O.TMPFILE | O.RDWR, mode: g.mode() })],
  [1, 'open', (g) => ({ ...openAt(g), dir: g.slot() })],
  [2, 'close', (g) => ({ fd: g.slot() })],
  [1, 'dup', (g) => ({ fd: g.slot(), to: g.slot() })],
  [3, 'read', (g) => ({ fd: g.slot(), length: g.length() })],
  [3, 'pread', (g) => ({ fd: g.slot(), length: g.length(), offset: g.offset() })],
  [1, 'readv', (g) => ({ fd: g.slot(), length: g.length() })],
  [7, 'write', (g) => ({ ...data(g), watch: true })],
  [8, 'pwrite', (g) => ({ ...data(g), offset: g.offset(), watch: true })],
  [1, 'writev', data],
  [2, 'lseek', (g) => ({ fd: g.slot(), offset: g.offset(), whence: g.random.below(3) })],
  [2, 'holes', (g) => ({ fd: g.slot() })],
  [1, 'blocks', (g) => ({ fd: g.slot() })],
  [2, 'direct_read', (g) => ({ fd: g.slot(), ...pages(g) })],
  [2, 'direct_write', (g) => ({ fd: g.slot(), ...pages(g), seed: g.random.below(1000) })],
  [4, 'ftruncate', (g) => ({ fd: g.slot(), size: g.offset(), watch: true })],
  [2, 'truncate', (g) => ({ path: g.path(), size: g.offset(), watch: true })],
  [
    3,
    'fallocate',
    (g) => ({ fd: g.slot(), ...range(g), mode: g.random.pick([0, 1, 2, 3, 16, 17]) }),
  ],
  [3, 'copy_range', (g) => ({ fd: g.slot(), to: g.slot(), ...range(g), toOffset: g.offset() })],
  [1, 'fsync', (g) => ({ fd: g.slot() })],
  [1, 'fdatasync', (g) => ({ fd: g.slot() })],
  [2, 'fstat', (g) => ({ fd: g.slot() })],
  [1, 'lock', (g) => ({ fd: g.slot(), ...range(g), kind: g.random.pick([1, 2, 8]) })],
  [1, 'test_lock', (g) => ({ fd: g.slot(), ...range(g), kind: g.random.below(2) })],
  [1, 'flock', (g) => ({ fd: g.slot(), kind: g.random.pick([1, 2, 8]) })],
];

const MAP_CALLS: readonly (readonly [number, string, Make])[] = [
  [4, 'mmap', (g) => ({ fd: g.slot(), prot: g.random.pick([1, 3, 3]) })],
  [4, 'mread', (g) => ({ fd: g.slot(), ...range(g) })],
  [6, 'mwrite', (g) => ({ fd: g.slot(), ...range(g), seed: g.random.below(1000) })],
  [2, 'msync', (g) => ({ fd: g.slot() })],
  [1, 'munmap', (g) => ({ fd: g.slot() })],
];

const NAME_CALLS: readonly (readonly [number, string, Make])[] = [
  [5, 'stat', (g) => ({ path: g.path(), follow: g.random.chance(0.5) })],
  [1, 'access', (g) => ({ path: g.path(), mode: g.random.below(8) })],
  [1, 'readlink', (g) => ({ path: g.path() })],
  [6, 'rename', (g) => ({ path: g.path(), to: g.path(), watch: true })],
  [2, 'renameat2', (g) => ({ path: g.path(), to: g.path(), flags: renameFlags(g) })],
  [4, 'link', (g) => ({ path: g.path(), to: g.path(), follow: g.random.chance(0.3), watch: true })],
  [1, 'link_fd', (g) => ({ fd: g.slot(), path: g.path() })],
  [2, 'symlink', (g) => ({ path: g.path(), target: symlinkTarget(g) })],
  [5, 'unlink', (g) => ({ path: g.path() })],
  [3, 'rmdir', (g) => ({ path: g.path() })],
  [7, 'mkdir', (g) => ({ path: g.path(), mode: g.mode() })],
  [1, 'mknod', mknod],
  [3, 'chmod', (g) => ({ path: g.path(), mode: g.mode(), watch: true })],
  [1, 'fchmod', (g) => ({ fd: g.slot(), mode: g.mode(), watch: true })],
  [
    2,
    'chown',
    (g) => ({ path: g.path(), ...g.owner(), follow: g.random.chance(0.5), watch: true }),
  ],
  [1, 'fchown', (g) => ({ fd: g.slot(), ...g.owner(), watch: true })],
  [2, 'utimens', (g) => ({ path: g.path(), times: g.times(), nofollow: g.random.pick([0, 256]) })],
  [1, 'utimens', (g) => ({ fd: g.slot(), times: g.times() })],
  [2, 'setxattr', (g) => ({ ...g.target(), ...attribute(g), flags: g.random.pick([0, 0, 1, 2]) })],
  [1, 'getxattr', (g) => ({ ...g.target(), name: g.xattr() })],
  [1, 'listxattr', (g) => g.target()],
  [1, 'removexattr', (g) => ({ ...g.target(), name: g.xattr() })],
  [2, 'list', (g) => ({ path: directory(g), room: 350, seek: g.random.below(50) })],
  [1, 'scan', (g) => ({ path: directory(g) })],
  [1, 'chdir', (g) => ({ path: g.path() })],
  [1, 'getcwd', () => ({})],
  [1, 'umask', (g) => ({ mode: g.random.pick(g.setting.gentle ? [0, 0o22] : [0, 0o22, 0o77]) })],
];

function openAt(g: Chooser): Record<string, unknown> {
  return { fd: g.slot(), path: g.path(), flags: openFlags(g), mode: g.mode() };
}

function data(g: Chooser): Record<string, unknown> {
  return { fd: g.slot(), seed: g.random.below(1000), length: g.length() };
}

function range(g: Chooser): Record<string, unknown> {
  return { offset: g.offset(), length: g.length() };
}

/** What O_DIRECT takes on every disk. */
function pages(g: Chooser): Record<string, unknown> {
  const { random } = g;
  const offset = g.offset();
  return { offset: offset - (offset % 4096), length: 4096 * random.pick([1, 1, 2, 3, 8, 9, 20]) };
}

/** NOREPLACE 1, EXCHANGE 2, WHITEOUT 4 (which leaves a device). */
function renameFlags(g: Chooser): number {
  return g.random.pick(g.setting.asRoot ? [1, 2, 2, 3, 4, 4, 5, 6] : [1, 2, 2, 3]);
}

function attribute(g: Chooser): Record<string, unknown> {
  return { name: g.xattr(), seed: g.random.below(1000), length: g.random.pick([0, 1, 10, 300]) };
}

function directory(g: Chooser): string {
  return g.random.chance(0.4) ? '.' : g.path();
}

function symlinkTarget(g: Chooser): string {
  if (g.random.chance(0.1)) return 't'.repeat(g.random.pick([1, 255, 3000, 4095]));
  // Never the directory itself: `..` behind it would lead out of the tree.
  const path = g.path();
  return path === '.' ? 'a' : path;
}

function mknod(g: Chooser): Record<string, unknown> {
  const kinds = [0o010000, 0o140000, 0o100000];
  if (g.setting.asRoot) kinds.push(0o020000, 0o060000);
  return { path: g.path(), mode: g.random.pick(kinds) | (g.mode() & 0o777), dev: 0xf005 };
}

/** Saves under names never used before, so that what is saved under one stays. */
class Saves {
  #next = 0;
  readonly #kept: string[] = [];

  command(g: Chooser): Operation {
    const kind = g.random.pick(['save', 'save', 'restore', 'restore', 'look', 'delete', 'remount']);
    if (kind === 'remount') return { op: kind };
    if (kind === 'save' || this.#kept.length === 0) {
      const made = `s${this.#next++}`;
      this.#kept.push(made);
      return { op: 'save', name: made };
    }
    const chosen = g.random.pick(this.#kept);
    if (kind === 'delete') this.#kept.splice(this.#kept.indexOf(chosen), 1);
    return { op: kind, name: chosen };
  }
}

/** A script of `count` operations; a comparison of the whole trees comes after every 40. */
export function makeScript(seed: number, setting: Setting, count: number): Operation[] {
  const g = new Chooser(new Random(seed), setting);
  const calls = [...FILE_CALLS, ...NAME_CALLS, ...(setting.maps ? MAP_CALLS : [])].map(
    ([weight, op, make]) => [weight, { op, make }] as const,
  );
  const saves = new Saves();
  const script: Operation[] = [];
  while (script.length < count) {
    if (script.length % 40 === 39) script.push({ op: 'walk' });
    if (g.random.chance(0.015)) {
      script.push(saves.command(g));
      continue;
    }
    const { op, make } = g.random.weighted(calls);
    const { watch, ...what } = make(g);
    const operation: Operation = { op, by: g.random.below(setting.workers), ...what };
    if (watch === true && !setting.maps) operation['watch'] = what['path'] ?? what['fd'];
    script.push(operation);
  }
  script.push({ op: 'walk' });
  return script;
}
