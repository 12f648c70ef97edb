/** Paths, patches and numbers of lines on the command line: the pure parts. */
import t from 'tap';
import { changeText, statText } from '../../../src/cli/files/diff-text.js';
import { pagerOf } from '../../../src/cli/files/pager.js';
import { gitName } from '../../../src/cli/files/patch.js';
import { isBelow, splitAtDashes, withoutSnapshot } from '../../../src/cli/files/paths.js';

t.test('paths', async (t) => {
  t.equal(withoutSnapshot('src/.snapshots/monday/deep/f', '.snapshots'), 'src/deep/f');
  t.equal(withoutSnapshot('.snapshots/monday', '.snapshots'), '');
  t.equal(withoutSnapshot('src/.snapshots', '.snapshots'), undefined);
  t.equal(withoutSnapshot('src/.snapshots/f', 'old'), 'src/.snapshots/f');
  t.ok(isBelow('a/b', ['x', 'a']));
  t.notOk(isBelow('ab', ['a']));
  t.ok(isBelow('any', ['']));
});

t.test('words behind two dashes are paths', async (t) => {
  const words = ['diff', 'a', '--', 'b', 'c'];
  t.same(splitAtDashes(['b', 'c'], words), { before: [], after: ['b', 'c'] });
  t.same(splitAtDashes(['x', 'c'], ['diff', 'a', 'x', '--', 'c']), { before: ['x'], after: ['c'] });
  t.same(splitAtDashes(['b'], ['diff', 'a', 'b']), { before: ['b'], after: undefined });
  t.same(splitAtDashes([], ['diff', 'a', '--']), { before: [], after: [] });
});

t.test('the pager, as git chooses it', async (t) => {
  t.equal(pagerOf({}), 'less');
  t.equal(pagerOf({ PAGER: 'more -x' }), 'more -x');
  t.equal(pagerOf({ PAGER: 'cat' }), undefined);
  t.equal(pagerOf({ PAGER: '' }), undefined);
  t.equal(pagerOf({ TERM: 'dumb' }), undefined);
});

t.test('names in a patch are those of git', async (t) => {
  t.equal(gitName('a/', 'plain name'), 'a/plain name');
  t.equal(gitName('a/', 'ä"\\\n\udcff'), '"a/\\303\\244\\"\\\\\\012\\377"');
});

t.test('changes and numbers of lines', async (t) => {
  t.equal(
    changeText({ kind: 'added', path: 'new', type: 'directory', belowCount: 1 }),
    '+ new/ (and 1 name below)',
  );
  t.equal(
    changeText({ kind: 'renamed', path: 'b', oldPath: 'a', type: 'file', details: ['mode'] }),
    'R a -> b (mode)',
  );
  const lines = statText(
    [
      { name: 'short', count: { added: 3, removed: 1 } },
      { name: 'a/very/long/path/that/does/not/fit', count: { added: 400, removed: 1 } },
      { name: 'new', count: 'new directory' },
    ],
    50,
  );
  t.match(lines[0], /^ short +\| {3}4 \+-$/);
  t.match(lines[1], /^ a\/very\/lo.*… *.*not\/fit *\| 401 \++-$/);
  t.ok(lines.slice(0, -1).every((line) => line.length <= 50));
  t.equal(lines.at(-1), ' 3 names changed, 403 insertions(+), 2 deletions(-)');
  t.same(statText([], 80), []);
});
