/**
 * What the fuse-native driver can't do, by name: each is a row of
 * `native-notes/fuse-native.md` and is shown by `fuse-native.test.ts`. A test
 * that runs with either driver asks here before it expects more.
 */
import type { Test } from 'tap';
import { isNative } from './harness.js';

export const EXCEPTIONS = {
  'whole-milliseconds': 'times are told and set in whole milliseconds',
  'both-times': 'setting only one of the two times of a file does nothing',
  'utf8-names': 'names that are no UTF-8 are shown in an escaped form',
  'no-old-versions': 'what a restore replaced can not be read through an open file',
  'no-holders': 'a restore does not know who holds replaced files open',
  'no-fallocate': 'fallocate is refused',
  'no-events': 'a read of .control/events is not woken',
  'no-other-users': 'allow_other is refused',
} as const;

export type ExceptionName = keyof typeof EXCEPTIONS;

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
