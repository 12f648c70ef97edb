/** Which changes bring some paths back: single cases. Random ones: test/mount/restore-files.test.ts. */
import t from 'tap';
import type { DiffChange } from '../../../src/daemon/commands/inspect.js';
import { unsharedRuns } from '../../../src/cli/files/copy.js';
import { planRestore, restoreLines } from '../../../src/cli/files/restore-plan.js';

const file = { type: 'file' as const };
const directory = { type: 'directory' as const };

/** `back a`, `gone a`, `move a b`, `fix a`; a tree has a slash. */
function planned(changes: DiffChange[], ...paths: string[]): string[] {
  const { moves, removals, back, fixes } = planRestore(changes, paths);
  const tree = (isTree: boolean): string => (isTree ? '/' : '');
  return [
    ...moves.map(({ from, to }) => `move ${from} ${to}`),
    ...removals.map(({ path, isTree }) => `gone ${path}${tree(isTree)}`),
    ...back.map(({ path, isTree }) => `back ${path}${tree(isTree)}`),
    ...fixes.map(({ path }) => `fix ${path}`),
  ];
}

t.test('only what lies at the paths', async (t) => {
  const changes: DiffChange[] = [
    { kind: 'added', path: 'a/new', ...file, inode: 9 },
    { kind: 'changed', path: 'a/f', ...file, details: ['content'], oldInode: 1, inode: 1 },
    { kind: 'removed', path: 'a/gone', ...file, oldInode: 2 },
    { kind: 'changed', path: 'ab', ...file, details: ['content'], oldInode: 3, inode: 3 },
  ];
  t.same(planned(changes, 'a'), ['gone a/new', 'back a/gone', 'fix a/f']);
  t.same(planned(changes, 'a/gone'), ['back a/gone']);
  t.same(planned(changes, ''), ['gone a/new', 'back a/gone', 'fix a/f', 'fix ab']);
  t.same(planned(changes, 'none'), []);
});

t.test('another file under the name is replaced, another type goes first', async (t) => {
  const changes: DiffChange[] = [
    { kind: 'changed', path: 'f', ...file, details: ['content'], oldInode: 1, inode: 2 },
    { kind: 'changed', path: 'd', ...file, details: ['type'], oldInode: 3, inode: 4 },
    { kind: 'removed', path: 'd/x', ...file, oldInode: 5 },
    { kind: 'changed', path: 'e', ...directory, details: ['mode'], oldInode: 6, inode: 7 },
  ];
  t.same(planned(changes, ''), ['gone d', 'back d', 'back d/x', 'back f', 'fix e']);
  t.same(
    restoreLines(planRestore(changes, ['d'])).map(({ kind, path }) => `${kind} ${path}`),
    ['back d', 'back d/x'],
    'what comes back is not told to go',
  );
});

t.test('renamed below the paths, out of them, and into them', async (t) => {
  const changes: DiffChange[] = [
    { kind: 'renamed', path: 'a/to', oldPath: 'a/from', ...directory, oldInode: 1, inode: 1 },
    { kind: 'changed', path: 'a/to/f', ...file, details: ['content'], oldInode: 2, inode: 2 },
    { kind: 'added', path: 'a/to/new', ...file, inode: 3 },
    { kind: 'removed', path: 'a/from/gone', ...file, oldInode: 4 },
    { kind: 'renamed', path: 'a/to/y', oldPath: 'a/from/x', ...file, oldInode: 5, inode: 5 },
    { kind: 'renamed', path: 'b/out', oldPath: 'a/out', ...directory, oldInode: 6, inode: 6 },
    { kind: 'changed', path: 'b/out/f', ...file, details: ['content'], oldInode: 7, inode: 7 },
    { kind: 'removed', path: 'a/out/g', ...file, oldInode: 8 },
    { kind: 'renamed', path: 'a/in', oldPath: 'b/in', ...directory, oldInode: 9, inode: 9 },
    { kind: 'changed', path: 'a/in/f', ...file, details: ['mode'], oldInode: 10, inode: 10 },
    { kind: 'added', path: 'a/in/new', ...file, inode: 11 },
  ];
  t.same(planned(changes, 'a'), [
    'move a/to a/from',
    'move a/to/y a/from/x',
    'gone a/to/new',
    'gone a/in/',
    'back a/from/gone',
    'back a/out/',
    'fix a/from/f',
  ]);
});

t.test('a name that the file still has is where the moves bring it', async (t) => {
  const changes: DiffChange[] = [
    { kind: 'renamed', path: 'b', oldPath: 'a', ...directory, oldInode: 1, inode: 1 },
    { kind: 'removed', path: 'x', ...file, details: ['link'], oldInode: 2, linkedTo: 'b/y' },
  ];
  t.match(planRestore(changes, ['']), { back: [{ path: 'x', linkedTo: 'a/y' }] });
});

t.test('a renamed file has taken the place of another', async (t) => {
  const changes: DiffChange[] = [
    {
      kind: 'renamed',
      path: 'b',
      oldPath: 'a',
      ...file,
      details: ['replaced'],
      oldInode: 1,
      inode: 1,
    },
  ];
  t.same(planned(changes, ''), ['move b a', 'back b']);
  t.same(planned(changes, 'b'), ['gone b', 'back b']);
  t.same(planned(changes, 'a'), ['back a']);
});

t.test('which parts of a file are looked at', async (t) => {
  const text = '0 100 shared\n100 50 own\n150 50 hole\n200 10 preserved monday\n210 90 base\n';
  t.same(
    unsharedRuns(text, 250).map(({ offset, length, isHole }) => [offset, length, isHole]),
    [
      [100, 50, false],
      [150, 50, true],
      [200, 10, false],
      [210, 90, false],
    ],
  );
  t.same(unsharedRuns('0 100 shared\n...\n', 300), [{ offset: 100, length: 200, isHole: false }]);
  t.same(unsharedRuns('', 0), []);
});
