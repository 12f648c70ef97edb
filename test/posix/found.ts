/** What the fuzzer once found, shrunk and kept: one script that goes on passing. */
import type { Operation } from './fuzz-script.js';

const REPLACE = 2;
const DIRECTORY = 0o200000;
const TMPFILE = 0o20200000;

export const FOUND: readonly Operation[] = [
  // Names of extended attributes that no file system takes.
  { op: 'mkdir', by: 0, path: 'names', mode: 0o777 },
  ...['bogus', 'system.x', 'user.', 'user.absent'].flatMap((name): Operation[] => [
    {
      op: 'setxattr',
      by: 0,
      path: 'names',
      follow: true,
      name,
      seed: 1,
      length: 1,
      flags: REPLACE,
    },
    { op: 'getxattr', by: 0, path: 'names', follow: true, name },
    { op: 'removexattr', by: 0, path: 'names', follow: true, name },
  ]),
  // `trusted.` is listed for root alone.
  {
    op: 'setxattr',
    by: 0,
    path: 'names',
    follow: true,
    name: 'trusted.t',
    seed: 1,
    length: 1,
    flags: 0,
  },
  { op: 'listxattr', by: 1, path: 'names', follow: true },
  // chown to nobody else takes set-id bits away.
  { op: 'mknod', by: 0, path: 'set', mode: 0o100755, dev: 0 },
  { op: 'chmod', by: 0, path: 'set', mode: 0o6755 },
  { op: 'stat', by: 0, path: 'set', follow: true },
  { op: 'chown', by: 0, path: 'set', uid: -1, gid: -1, follow: true, watch: 'set' },
  { op: 'stat', by: 0, path: 'set', follow: true },
  // Where a directory ends, and what a removed one says to a nameless file, differs by file system.
  { op: 'open', by: 0, fd: 0, path: 'names', flags: DIRECTORY, mode: 0 },
  { op: 'lseek', by: 0, fd: 0, offset: 3801, whence: 2 },
  { op: 'mkdir', by: 0, path: 'gone', mode: 0o777 },
  { op: 'chdir', by: 1, path: 'gone' },
  { op: 'rmdir', by: 0, path: 'gone' },
  { op: 'open', by: 1, fd: 0, path: '.', flags: TMPFILE | 2, mode: 0o644 },
  { op: 'chdir', by: 1, path: '..' },
  { op: 'walk' },
];
