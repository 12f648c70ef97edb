/** Merges of branches, three-way by file (format.md, rules M1–M7). */
import t, { type Test } from 'tap';
import { S_IFCHR } from '../../../src/lib/file-mode.js';
import { settledWith } from '../../../src/lib/work.js';
import { codeOf } from './code-of.js';
import { TwoBranches, Work } from './merge-fixture.js';

type Change = (work: Work) => void;

function two(t: Test, fill: Change, ours: Change, theirs: Change): TwoBranches {
  const trees = new TwoBranches(t);
  trees.fill(fill);
  ours(trees.ours);
  theirs(trees.theirs);
  trees.flush();
  return trees;
}

const nothing: Change = () => undefined;
const files: Change = (work) => {
  work.mkdir('d');
  work.write('d/one', 'one');
  work.write('d/two', 'two');
  work.write('three', 'three');
  work.mkdir('e');
  work.write('e/four', 'four');
};

function sound(t: Test, trees: TwoBranches): void {
  t.same(trees.check().findings, []);
}

t.test('what only one side changed is taken, on either side', async (t) => {
  const trees = two(
    t,
    files,
    (ours) => {
      ours.write('d/one', 'one of ours');
      ours.write('ours', 'new');
    },
    (theirs) => {
      theirs.write('d/two', 'two of theirs');
      theirs.mkdir('new');
      theirs.mkdir('new/deep');
      theirs.write('new/deep/file', 'content');
      theirs.symlink('new/link', 'deep/file');
      theirs.node('new/null', S_IFCHR | 0o666, 0x103);
      theirs.unlink('three');
      theirs.remove('e');
    },
  );
  const before = trees.theirs.tree();
  const { outcome, summary } = trees.ours.merge('b');
  t.equal(outcome, 'merged');
  t.same(summary, { added: 5, changed: 1, removed: 3, renamed: 0 });
  t.same(trees.ours.tree(), {
    d: '/',
    'd/one': 'one of ours',
    'd/two': 'two of theirs',
    new: '/',
    'new/deep': '/',
    'new/deep/file': 'content',
    'new/link': '-> deep/file',
    'new/null': 'node 259',
    ours: 'new',
  });
  t.same(trees.theirs.tree(), before, 'the branch stays as it was');
  sound(t, trees);
  const merged = trees.ours.tree();
  trees.reopen();
  t.same(trees.ours.tree(), merged);
  sound(t, trees);
});

t.test('a branch that is ahead is listed when programs go on already', async (t) => {
  const trees = two(t, files, nothing, (theirs) => theirs.write('three', 'changed'));
  const { volume } = trees;
  const { items, summary } = trees.ours.merge('b', undefined, {
    adopt: (change) => {
      const { answer, from } = volume.core.withReserve(change);
      volume.leaveBehind(from);
      t.same(answer.items, [], 'nothing was looked up while they waited');
      trees.ours.write('d/one', 'by a program');
      return settledWith(answer);
    },
  });
  t.match(items, [{ path: 'three', kind: 'changed' }]);
  t.same(summary, { added: 0, changed: 1, removed: 0, renamed: 0 });
  t.equal(trees.ours.text('d/one'), 'by a program');
  sound(t, trees);
});

t.test('a branch is ahead of one that was left and came back to', async (t) => {
  const trees = two(t, files, nothing, (theirs) => theirs.write('three', 'changed'));
  trees.volume.branchCommands.fork('other', {}, 'test');
  for (const name of ['other', 'main']) trees.volume.branchCommands.switchTo(name, 'test');
  t.equal(trees.ours.merge('b').outcome, 'moved');
  t.equal(trees.ours.text('three'), 'changed');
  sound(t, trees);
});

t.test('a branch that is ahead is taken whole, and one undo takes it back', async (t) => {
  const trees = two(t, files, nothing, (theirs) => theirs.write('three', 'changed'));
  const before = trees.ours.tree();
  const { outcome, undo } = trees.ours.merge('b');
  t.equal(outcome, 'moved');
  t.equal(trees.ours.text('three'), 'changed');
  t.equal(trees.ours.merge('b').outcome, 'unchanged');
  trees.theirs.write('three', 'later');
  trees.flush();
  t.equal(trees.ours.text('three'), 'changed', 'what the branch writes later is not seen');
  t.ok(undo);
  trees.volume.undo(undefined, 'test');
  trees.flush();
  t.same(trees.ours.tree(), before);
  t.equal(trees.ours.merge('b').outcome, 'moved');
  t.equal(trees.ours.text('three'), 'later');
  sound(t, trees);
});

t.test('renames are followed by inode', async (t) => {
  const trees = two(
    t,
    files,
    (ours) => {
      ours.rename('d/one', 'uno');
      ours.rename('e', 'moved');
      ours.write('three', 'three of ours');
    },
    (theirs) => {
      theirs.write('d/one', 'one of theirs');
      theirs.write('e/five', 'five');
      theirs.write('e/four', 'four of theirs');
      theirs.rename('three', 'd/tres');
    },
  );
  const { ino } = trees.ours.at('three');
  trees.ours.merge('b');
  t.same(trees.ours.tree(), {
    d: '/',
    'd/two': 'two',
    'd/tres': 'three of ours',
    uno: 'one of theirs',
    moved: '/',
    'moved/five': 'five',
    'moved/four': 'four of theirs',
  });
  t.equal(trees.ours.at('d/tres').ino, ino);
  t.equal(trees.ours.at('').nlink, 4);
  sound(t, trees);
});

t.test('a file both changed is a conflict; ours, theirs', async (t) => {
  for (const [resolve, expected] of [
    ['ours', 'one of ours'],
    ['theirs', 'one of theirs'],
  ] as const) {
    const trees = two(
      t,
      files,
      (ours) => {
        ours.write('d/one', 'one of ours');
        ours.write('d/two', 'two of ours');
      },
      (theirs) => {
        theirs.write('d/one', 'one of theirs');
        theirs.write('three', 'three of theirs');
      },
    );
    t.same(trees.ours.conflicts('b'), ['content d/one d/one']);
    sound(t, trees);
    const { conflicts } = trees.ours.merge('b', resolve);
    t.equal(conflicts.length, 1);
    t.same(trees.ours.tree(), {
      d: '/',
      'd/one': expected,
      'd/two': 'two of ours',
      three: 'three of theirs',
      e: '/',
      'e/four': 'four',
    });
    sound(t, trees);
    t.equal(trees.ours.merge('b').outcome, 'unchanged');
  }
});

t.test('the same on both sides is no conflict', async (t) => {
  const same: Change = (work) => {
    work.write('d/one', 'same');
    work.unlink('three');
    work.write('new', 'same');
    work.mkdir('both');
    work.write('both/equal', 'same');
    work.rename('d/two', 'dos');
    work.chmod('e', 0o700);
  };
  const trees = two(
    t,
    files,
    (ours) => {
      same(ours);
      ours.write('both/ours', 'o');
    },
    (theirs) => {
      same(theirs);
      theirs.write('both/theirs', 't');
      theirs.mkdir('both/sub');
    },
  );
  trees.ours.merge('b');
  t.same(trees.ours.names('both'), ['equal', 'ours', 'sub', 'theirs']);
  t.equal(trees.ours.text('dos'), 'two');
  t.equal(trees.ours.at('both').nlink, 3);
  sound(t, trees);
  trees.theirs.write('both/equal', 'changed later');
  trees.theirs.write('both/sub/x', 'x');
  trees.ours.merge('b');
  t.equal(trees.ours.text('both/equal'), 'changed later', 'found by its place');
  t.equal(trees.ours.text('both/sub/x'), 'x');
  sound(t, trees);
});

t.test('every kind of conflict is found, and settled either way', async (t) => {
  const kinds: [string, Change, Change, string[]][] = [
    [
      'removed here',
      (o) => o.unlink('d/one'),
      (b) => b.write('d/one', 'x'),
      ['removed-here - d/one'],
    ],
    [
      'removed there',
      (o) => o.write('d/one', 'x'),
      (b) => b.unlink('d/one'),
      ['removed-there d/one -'],
    ],
    [
      'renamed here, removed there',
      (o) => o.rename('d/one', 'uno'),
      (b) => b.unlink('d/one'),
      ['removed-there uno -'],
    ],
    [
      'renamed there, removed here',
      (o) => o.unlink('d/one'),
      (b) => b.rename('d/one', 'uno'),
      ['removed-here - uno'],
    ],
    [
      'renamed apart',
      (o) => o.rename('d/one', 'uno'),
      (b) => b.rename('d/one', 'eins'),
      ['renamed uno eins'],
    ],
    [
      'directories renamed apart',
      (o) => o.rename('d', 'f'),
      (b) => b.rename('d', 'g'),
      ['renamed f g'],
    ],
    [
      'same name, other content',
      (o) => o.write('new', 'ours'),
      (b) => b.write('new', 'theirs'),
      ['same-name new new'],
    ],
    [
      'same name, other type',
      (o) => o.write('new', 'ours'),
      (b) => {
        b.mkdir('new');
        b.write('new/file', 'x');
      },
      ['same-name new new'],
    ],
    [
      'new in a directory removed here',
      (o) => o.remove('empty'),
      (b) => {
        b.mkdir('empty/sub');
        b.write('empty/sub/file', 'x');
      },
      ['directory-removed-here - empty/sub'],
    ],
    [
      'new in a directory removed there',
      (o) => o.write('empty/new', 'x'),
      (b) => b.remove('empty'),
      ['directory-removed-there empty -'],
    ],
    [
      'changed in a directory removed there',
      (o) => o.write('e/four', 'x'),
      (b) => b.remove('e'),
      ['removed-there e/four -'],
    ],
    [
      'moved below each other',
      (o) => o.rename('e', 'd/e'),
      (b) => b.rename('d', 'e/d'),
      ['cycle d e/d'],
    ],
    ['mode', (o) => o.chmod('three', 0o600), (b) => b.chmod('three', 0o640), ['mode three three']],
    ['owner', (o) => o.chown('three', 5), (b) => b.chown('three', 6), ['owner three three']],
    [
      'xattr',
      (o) => o.setXattr('three', 'user.a', 'o'),
      (b) => b.setXattr('three', 'user.a', 't'),
      ['xattr three three'],
    ],
    [
      'a file became a directory there, and was changed here',
      (o) => o.write('three', 'x'),
      (b) => {
        b.unlink('three');
        b.mkdir('three');
        b.write('three/x', 'x');
      },
      ['removed-there three -', 'none'],
    ],
    [
      'saved anew on both sides',
      (o) => o.replace('three', 'ours'),
      (b) => b.replace('three', 'theirs'),
      ['content three three'],
    ],
    [
      'saved anew here, changed there',
      (o) => o.replace('three', 'ours'),
      (b) => b.write('three', 'theirs'),
      ['content three three'],
    ],
    [
      'saved anew there, changed here',
      (o) => o.write('three', 'ours'),
      (b) => b.replace('three', 'theirs'),
      ['content three three'],
    ],
    [
      'each removed another name',
      (o) => {
        o.unlink('linked');
      },
      (b) => {
        b.unlink('three');
      },
      ['removed-here linked three'],
    ],
  ];
  for (const [what, ours, theirs, expected] of kinds) {
    await t.test(what, async (t) => {
      const fill: Change = (work) => {
        files(work);
        work.mkdir('empty');
        if (what === 'each removed another name') work.link('three', 'linked');
      };
      const start = (): TwoBranches => two(t, fill, ours, theirs);
      const trees = start();
      const found = trees.ours.conflicts('b');
      if (!expected.includes('none') && !what.startsWith('each')) t.same(found, expected);
      else t.notSame(found, ['none']);
      sound(t, trees);
      const before = trees.ours.tree();
      trees.ours.merge('b', 'ours');
      t.same(trees.ours.tree(), before, 'ours');
      sound(t, trees);
      const again = start();
      again.ours.merge('b', 'theirs');
      t.same(again.ours.tree(), again.theirs.tree(), 'theirs');
      sound(t, again);
    });
  }
});

t.test('fields are merged one by one', async (t) => {
  const trees = two(
    t,
    (work) => {
      work.write('file', 'x'.repeat(10_000));
      work.setXattr('file', 'user.gone', '1');
      work.setXattr('file', 'user.kept', '1');
    },
    (ours) => {
      ours.chmod('file', 0o600);
      ours.setXattr('file', 'user.ours', 'o');
    },
    (theirs) => {
      theirs.patch('file', 5000, 'THEIRS');
      theirs.truncate('file', 9000);
      theirs.chown('file', 7);
      theirs.setXattr('file', 'user.gone', null);
      theirs.setXattr('file', 'user.theirs', 't');
    },
  );
  const { mtimeS, mtimeNs } = trees.theirs.at('file');
  trees.ours.merge('b');
  const file = trees.ours.at('file');
  t.equal(file.mode & 0o777, 0o600);
  t.equal(file.uid, 7);
  t.equal(trees.ours.text('file'), trees.theirs.text('file'));
  t.same([file.mtimeS, file.mtimeNs], [mtimeS, mtimeNs]);
  t.same(
    ['gone', 'kept', 'ours', 'theirs'].map((name) => trees.ours.xattr('file', `user.${name}`)),
    [undefined, '1', 'o', 't'],
  );
  sound(t, trees);
});

t.test('an editor saves there, a rename or a mode here', async (t) => {
  const trees = two(
    t,
    files,
    (ours) => {
      ours.rename('three', 'd/three');
      ours.chmod('d/one', 0o755);
    },
    (theirs) => {
      theirs.replace('three', 'saved');
      theirs.replace('d/one', 'saved, too');
    },
  );
  const { ino } = trees.ours.at('d/three');
  trees.ours.merge('b');
  t.equal(trees.ours.text('d/three'), 'saved');
  t.equal(trees.ours.at('d/three').ino, ino);
  t.equal(trees.ours.text('d/one'), 'saved, too');
  t.equal(trees.ours.at('d/one').mode & 0o777, 0o755);
  // Two numbers stand for the file now; they are found by their place, if it is the same.
  trees.theirs.replace('d/one', 'saved again');
  trees.ours.merge('b');
  t.equal(trees.ours.text('d/one'), 'saved again');
  trees.theirs.replace('three', 'saved again');
  t.same(trees.ours.conflicts('b'), ['removed-here - three']);
  sound(t, trees);
});

t.test('hard links: names come and go, and the count is right', async (t) => {
  const trees = two(
    t,
    (work) => {
      files(work);
      work.link('three', 'd/tres');
    },
    (ours) => ours.link('three', 'trois'),
    (theirs) => {
      theirs.unlink('d/tres');
      theirs.link('three', 'e/drei');
      theirs.write('three', 'changed');
      theirs.write('new', 'new');
      theirs.link('new', 'new2');
    },
  );
  trees.ours.merge('b');
  t.equal(trees.ours.at('three').nlink, 3);
  t.equal(trees.ours.text('trois'), 'changed');
  t.equal(trees.ours.at('e/drei').ino, trees.ours.at('three').ino);
  t.equal(trees.ours.at('new2').nlink, 2);
  t.equal(trees.ours.find('d/tres'), undefined);
  sound(t, trees);
});

t.test('sparse files keep their holes; a large file costs what was written', async (t) => {
  const trees = two(
    t,
    (work) => {
      const ino = work.write('large', '');
      for (let i = 0; i < 64; i++) work.volume.write(ino, i * 4096, Buffer.alloc(4096, i + 1));
    },
    (ours) => ours.write('other', 'x'),
    (theirs) => {
      theirs.patch('large', 10 * 4096 + 5, 'changed');
      theirs.volume.data.punch(theirs.volume.inodes.forChange(theirs.at('large').ino), 0, 0);
      const ino = theirs.write('sparse', 'begin');
      theirs.volume.setAttributes(ino, { size: 2 ** 40 });
      theirs.volume.write(ino, 2 ** 40 - 3, Buffer.from('end'));
    },
  );
  trees.ours.merge('b');
  const sparse = trees.ours.at('sparse');
  t.equal(sparse.size, 2 ** 40);
  t.equal(sparse.allocated, 2 * 4096);
  t.equal(trees.ours.text('large'), trees.theirs.text('large'));
  const { parent } = trees.volume.layers.get(trees.volume.live.top);
  const runs = trees.volume.runs(trees.volume.live, trees.ours.at('large'));
  const own = runs.filter(({ layer }) => layer === parent);
  t.same(
    own.map(({ length }) => length),
    [4096],
    'one block was copied',
  );
  sound(t, trees);
});

t.test('only what was done since the last merge is brought, in both directions', async (t) => {
  const trees = two(
    t,
    files,
    (ours) => ours.write('ours', '1'),
    (theirs) => theirs.write('d/one', 'from b'),
  );
  trees.ours.merge('b');
  // Changed here after the merge: what b did before is not brought again.
  trees.ours.write('d/one', 'changed here');
  trees.theirs.write('d/two', 'from b later');
  trees.ours.merge('b');
  t.equal(trees.ours.text('d/one'), 'changed here');
  t.equal(trees.ours.text('d/two'), 'from b later');
  // And back.
  trees.theirs.write('three', 'only in b');
  trees.theirs.merge('main');
  t.equal(trees.theirs.text('d/one'), 'changed here');
  t.equal(trees.theirs.text('ours'), '1');
  t.equal(trees.theirs.text('three'), 'only in b');
  trees.theirs.write('ours', '2');
  trees.ours.merge('b');
  t.same(trees.ours.tree(), trees.theirs.tree());
  sound(t, trees);
  trees.collect();
  sound(t, trees);
  trees.reopen();
  trees.ours.write('e/four', 'main');
  trees.theirs.write('d/one', 'b');
  trees.flush();
  trees.ours.merge('b');
  t.equal(trees.ours.text('d/one'), 'b');
  trees.collect();
  sound(t, trees);
});

t.test('after an undo of the merge, all of it can be merged again', async (t) => {
  const trees = two(
    t,
    files,
    (ours) => ours.write('ours', '1'),
    (theirs) => theirs.write('d/one', 'from b'),
  );
  const before = trees.ours.tree();
  trees.ours.merge('b');
  const merged = trees.ours.tree();
  trees.volume.undo(undefined, 'test');
  trees.flush();
  t.same(trees.ours.tree(), before);
  trees.collect();
  t.equal(trees.ours.merge('b').outcome, 'merged');
  t.same(trees.ours.tree(), merged);
  sound(t, trees);
});

t.test('three branches: what came through another one is known', async (t) => {
  const trees = two(t, files, nothing, (theirs) => theirs.write('d/one', 'from b'));
  trees.ours.write('ours', 'x');
  trees.volume.branchCommands.fork('c', {}, 'test');
  trees.ours.merge('b');
  const c = new Work(trees, trees.volume.at('c'));
  c.write('d/two', 'from c');
  c.merge('main');
  t.equal(c.text('d/one'), 'from b');
  c.write('d/one', 'changed in c');
  t.equal(c.merge('b').outcome, 'unchanged');
  trees.theirs.write('three', 'from b');
  c.merge('b');
  t.equal(c.text('d/one'), 'changed in c');
  t.equal(c.text('three'), 'from b');
  sound(t, trees);
});

t.test('bad input is refused', async (t) => {
  const trees = two(t, files, nothing, nothing);
  const code = (branch: string): string => codeOf(() => trees.ours.merge(branch));
  t.equal(code('main'), 'merge-itself');
  t.equal(code('c'), 'no-such-branch');
  t.equal(trees.ours.merge('b').outcome, 'unchanged');
  sound(t, trees);
});

t.test('the plan says what the merge does', async (t) => {
  const trees = two(
    t,
    files,
    (ours) => ours.write('d/one', 'ours'),
    (theirs) => {
      theirs.write('d/one', 'theirs');
      theirs.write('new', 'new');
      theirs.rename('three', 'tres');
      theirs.remove('e');
    },
  );
  const { items, conflicts, summary } = trees.ours.plan('b');
  t.same(
    items.map(({ kind, path, oldPath }) => [kind, path, oldPath]),
    [
      ['removed', 'e', undefined],
      ['removed', 'e/four', undefined],
      ['added', 'new', undefined],
      ['renamed', 'tres', 'three'],
    ],
  );
  t.same(summary, { added: 1, changed: 0, removed: 2, renamed: 1 });
  t.same(conflicts[0]?.reasons, ['content']);
});
