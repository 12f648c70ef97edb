/**
 * What the fuse-native driver can't do, by name: each is a row of
 * `native-notes/fuse-native.md` and is shown by `fuse-native.test.ts`. A test
 * that runs with either driver asks here before it expects more.
 */
import type { Test } from 'tap';
import { DRIVER, eachIdentity, isNative, type World } from './harness.js';

export const EXCEPTIONS = {
  'whole-milliseconds': 'times are told and set in whole milliseconds',
  'both-times': 'setting only one of the two times of a file does nothing',
  'empty-chown': 'a chown to nobody else changes no time',
  'utf8-names': 'names that are no UTF-8 are shown in an escaped form',
  'no-old-versions': 'what a restore replaced can not be read through an open file',
  'no-holders': 'a restore does not know who holds replaced files open',
  'no-fallocate': 'fallocate is refused',
  'no-tmpfile': 'O_TMPFILE is refused',
  'no-rename-flags': 'renameat2 knows no flags',
  'no-seek-hole': 'SEEK_HOLE finds the end of the file',
  'no-birth-time': 'there is no birth time',
  'no-acl': 'ACLs are refused',
  'hard-links': 'hard links are files of their own to the kernel',
  'unsynced-maps': 'a save holds what a map stored before msync',
  'removed-directories': 'a directory that was removed is not there for those who have it open',
  'replaced-names': 'a name that is replaced may be missing for a moment',
  'no-watchers': 'a restore gives no events to programs that watch',
  'no-events': 'a read of .control/events is not woken',
  'no-other-users': 'allow_other is refused',
} as const;

export type ExceptionName = keyof typeof EXCEPTIONS;

export const EXCEPTION_NAMES = Object.keys(EXCEPTIONS) as ExceptionName[];

/** True when the mounts of this run have the exception; says so. */
export function lacks(t: Test, name: ExceptionName): boolean {
  if (isNative) t.comment(`exception ${name}: ${EXCEPTIONS[name]}`);
  return isNative;
}

/** As `each`; a driver with the exception shows what it does instead in `fuse-native.test.ts`. */
export function unless<Body>(
  name: ExceptionName,
  each: (t: Test, title: string, body: Body) => void,
): (t: Test, title: string, body: Body) => void {
  return (t, title, body) => {
    if (isNative) t.comment(`not run: ${title}: exception ${name}: ${EXCEPTIONS[name]}`);
    else each(t, title, body);
  };
}

/** What a world's mounts can't do. */
export function lacksOf(world: World): readonly ExceptionName[] {
  return world.driver === 'fuse-native' ? EXCEPTION_NAMES : [];
}

/** As `eachIdentity`, and each with the driver of this run and with fuse-native. */
export function eachDriver(
  t: Test,
  title: string,
  body: (t: Test, world: World) => Promise<void>,
): void {
  for (const driver of new Set([DRIVER, 'fuse-native'])) {
    eachIdentity(t, `${title}, driver ${driver}`, async (t, world) => {
      world.driver = driver;
      world.env['LACKS'] = lacksOf(world).join(' ');
      await body(t, world);
    });
  }
}
