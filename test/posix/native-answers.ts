/**
 * Where the fuse-native driver answers otherwise than ext4: by the exceptions
 * of native-notes/fuse-native.md, each as narrow as it can be told.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ExceptionName } from '../mount/driver-exceptions.js';

export interface NativeAnswer {
  exception: ExceptionName;
  group: string;
  check: RegExp;
  /** Whether what it answers is what the exception says. */
  isThat: (here: unknown, plain: unknown) => boolean;
}

const first = (answer: unknown): unknown => (Array.isArray(answer) ? answer[0] : answer);

const isThat =
  (expected: unknown) =>
  (here: unknown): boolean =>
    isDeepStrictEqual(here, expected);

/** Refused where ext4 does it, or finds something else wrong with it. */
const refused =
  (errno: string) =>
  (here: unknown): boolean =>
    first(here) === errno;

const NS_PER_MS = 1_000_000;

/** Times without what is below the millisecond, and none before 1970. */
function inMilliseconds(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(inMilliseconds);
  if (typeof answer !== 'number') return answer;
  return Math.max(0, Math.floor(answer / NS_PER_MS) * NS_PER_MS);
}

const isRounded = (here: unknown, plain: unknown): boolean =>
  isDeepStrictEqual(here, inMilliseconds(plain));

/** The call succeeds, what was to be kept is kept, and nothing changes, ctime included. */
function nothingChanges(here: unknown, plain: unknown): boolean {
  if (!Array.isArray(here) || !Array.isArray(plain)) return false;
  const kept = (answer: unknown[]): unknown[] => answer.map((value) => value === 'kept');
  return (
    here[0] === 0 &&
    here.at(-1) === false &&
    kept(plain).includes(true) &&
    kept(plain).every((isKept, i) => !isKept || here[i] === 'kept')
  );
}

export const NATIVE_ANSWERS: readonly NativeAnswer[] = [
  {
    exception: 'utf8-names',
    group: 'xattrs',
    check: /^name b'user\.\\xff/,
    isThat: isThat(['EINVAL', 'ENODATA', true, 'ENODATA']),
  },
  {
    exception: 'no-fallocate',
    group: 'holes',
    check: /^(posix_)?fallocate/,
    isThat: refused('ENOTSUP'),
  },
  {
    exception: 'no-fallocate',
    group: 'permissions',
    check: /^fallocate of mode/,
    isThat: refused('ENOTSUP'),
  },
  {
    exception: 'no-fallocate',
    group: 'times',
    check: /^times after (punching|zeroing|allocation)/,
    isThat: refused('ENOTSUP'),
  },
  {
    exception: 'no-fallocate',
    group: 'files',
    check: /^limit of a size$/,
    isThat: isThat([9000, 1000, 'EFBIG', 'EFBIG', 'ENOTSUP', 10000]),
  },
  {
    exception: 'no-fallocate',
    group: 'watches',
    check: /^watch of an allocation$/,
    isThat: refused('ENOTSUP'),
  },
  {
    exception: 'no-seek-hole',
    group: 'holes',
    check: /^cut and extended$/,
    isThat: isThat(['end\0\0', 2 ** 40]),
  },
  {
    exception: 'no-rename-flags',
    group: 'rename',
    check: /^(rename flags [12]: |exchange of two names$|rename that leaves a whiteout$)/,
    isThat: (here, plain) => first(plain) === 0 && first(here) === 'EINVAL',
  },
  {
    exception: 'no-rename-flags',
    group: 'times',
    check: /^times after exchange/,
    isThat: refused('EINVAL'),
  },
  {
    exception: 'no-rename-flags',
    group: 'watches',
    check: /^watch of an exchange$/,
    isThat: isThat(['EINVAL', []]),
  },
  {
    exception: 'whole-milliseconds',
    group: 'times',
    check: /^(utimensat |futimens$|\d+ ns$)/,
    isThat: isRounded,
  },
  {
    exception: 'whole-milliseconds',
    group: 'times',
    check: /^utimensat of [fdp] beyond the range /,
    isThat: isThat([[0, 0], true, [0, 0], [false, false]]),
  },
  {
    exception: 'both-times',
    group: 'times',
    check: /^utimensat of [fdp] /,
    isThat: nothingChanges,
  },
  {
    exception: 'empty-chown',
    group: 'times',
    check: /^times after chown to nobody$/,
    isThat: isThat(['ok', { a: '', b: '', 'a/f': '', 'a/other': '', 'a/sub': '', 'a/l': '' }]),
  },
  {
    exception: 'no-birth-time',
    group: 'times',
    check: /^times of a new n[1-4]$/,
    isThat: isThat([false, false, false]),
  },
  {
    exception: 'hard-links',
    group: 'locks',
    check: /^by another name$/,
    isThat: isThat('ok'),
  },
  {
    exception: 'hard-links',
    group: 'watches',
    check: /^watch of a rename over$/,
    isThat: isThat([
      'ok',
      [
        ['d', 'moved_from', 'back', 0],
        ['d', 'moved_to', 'hard', 0],
      ],
    ]),
  },
];
