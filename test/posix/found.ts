/** What the fuzzer once found, shrunk and kept: one script that goes on passing. */
import type { Operation } from './fuzz-script.js';

const REPLACE = 2;

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
  { op: 'walk' },
];
