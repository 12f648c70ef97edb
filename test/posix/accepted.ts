/**
 * Where shadowfs answers otherwise than ext4, and that is accepted. Each has a
 * line in native-notes/posix.md with its reason.
 */

export interface Accepted {
  group: string;
  check: string;
  /** What shadowfs answers instead. */
  here: unknown;
  /** Only there: part of a place's name. */
  place?: string;
  /** Its heading in posix.md. */
  reason: string;
}

const COLLAPSE = 'FALLOC_FL_COLLAPSE_RANGE and INSERT_RANGE';
const SET_GROUP_ID = 'Set-group-id without group execution';
const TOO_FAR = 'Writes beyond 4 PiB with writeback';
const CACHED_TIMES = 'Times with writeback';
const CACHED_BLOCKS = 'st_blocks with writeback';
const REMOVED = 'A nameless file in a removed directory';

export const ACCEPTED: readonly Accepted[] = [
  {
    group: 'holes',
    check: 'fallocate collapse',
    here: ['ENOTSUP', 200000],
    reason: COLLAPSE,
  },
  {
    group: 'holes',
    check: 'fallocate insert',
    here: ['ENOTSUP', 200000],
    reason: COLLAPSE,
  },
  {
    group: 'permissions',
    check: 'write of mode 6767 by others',
    here: ['ok', ['0o2767', 1001, 1003]],
    reason: SET_GROUP_ID,
  },
  {
    group: 'permissions',
    check: 'write of mode 2767 by others',
    here: ['ok', ['0o2767', 1001, 1003]],
    reason: SET_GROUP_ID,
  },
  {
    group: 'directories',
    check: 'nameless file in a removed directory',
    here: 'ENOENT',
    reason: REMOVED,
  },
  {
    group: 'times',
    check: 'times after truncate to the same size',
    here: ['ok', { a: '', b: '', 'a/f': '', 'a/other': '', 'a/sub': '', 'a/l': '' }],
    place: 'writeback',
    reason: CACHED_TIMES,
  },
  {
    group: 'times',
    check: 'times after setxattr to the same',
    here: ['ok', { a: '', b: '', 'a/f': 'ctime', 'a/other': '', 'a/sub': '', 'a/l': '' }],
    place: 'writeback',
    reason: CACHED_TIMES,
  },
  ...[2 ** 62, -(2 ** 62)].map((far) => ({
    group: 'times',
    // As Python writes it.
    check: `utimensat of f beyond the range ${BigInt(far)}`,
    here: [[0, 0], false, [0, 6], [true, true]],
    place: 'writeback',
    reason: CACHED_TIMES,
  })),
  ...['space taken', 'blocks of a megabyte'].map((check) => ({
    group: 'holes',
    check,
    here: false,
    place: 'writeback',
    reason: CACHED_BLOCKS,
  })),
  ...['blocks of nothing', 'blocks of what was cut'].map((check) => ({
    group: 'holes',
    check,
    here: 512,
    place: 'writeback',
    reason: CACHED_BLOCKS,
  })),
  {
    group: 'holes',
    check: 'empty and large',
    here: [[], 512],
    place: 'writeback',
    reason: CACHED_BLOCKS,
  },
  {
    group: 'holes',
    check: 'has it',
    here: [15 * 2 ** 40, 512],
    place: 'writeback',
    reason: CACHED_BLOCKS,
  },
  {
    group: 'files',
    check: 'pwrite near the top',
    here: 1,
    place: 'writeback',
    reason: TOO_FAR,
  },
  {
    group: 'files',
    check: 'pwrite beyond what fits',
    here: 1,
    place: 'writeback',
    reason: TOO_FAR,
  },
];
