/** What branches have in common stays when the branch between them goes (format.md, rule B6). */
import t from 'tap';
import { TwoBranches, Work } from './merge-fixture.js';

/** Branches `c`, of `b`, and `d`, of `c`; each has written a file of its name. */
function line(trees: TwoBranches): Work {
  trees.fill((work) => work.write('f', 'fill'));
  trees.theirs.write('b', 'b');
  trees.theirs.volume.branchCommands.fork('c', {}, 'test');
  const c = new Work(trees, trees.volume.at('c'));
  c.write('c', 'c');
  c.volume.branchCommands.fork('d', {}, 'test');
  const d = new Work(trees, trees.volume.at('d'));
  d.write('d', 'd');
  d.write('f', 'of d');
  trees.ours.write('ours', 'ours');
  for (const { volume } of [trees.theirs, c]) volume.leave();
  trees.flush();
  return d;
}

function keeps(trees: TwoBranches, branch: string): readonly number[] {
  return trees.volume.catalog.branches.get(branch)?.keeps ?? [];
}

t.test('a branch is merged although those that it comes from are gone', async (t) => {
  for (const order of [
    ['b', 'c'],
    ['c', 'b'],
  ]) {
    const trees = new TwoBranches(t, { keepUndo: 0 });
    const d = line(trees);
    for (const name of order) {
      trees.volume.branchCommands.delete(name, 'test');
      trees.flush();
      for (let i = 0; i < 3; i++) trees.collect();
    }
    t.equal(keeps(trees, 'd').length, 1, order.join());
    trees.ours.write('f2', 'later');
    trees.flush();
    for (let i = 0; i < 3; i++) trees.collect();
    t.strictSame(trees.check().findings, []);
    const answer = trees.ours.merge('d');
    t.match(answer, { outcome: 'merged', summary: { added: 3, changed: 1, removed: 0 } });
    t.same(trees.ours.names(''), ['b', 'c', 'd', 'f', 'f2', 'ours']);
    t.equal(trees.ours.text('f'), 'of d');
    d.volume.leave();
    trees.volume.branchCommands.delete('d', 'test');
    trees.flush();
    t.strictSame(trees.check().findings, [], 'and nothing keeps it any more');
    trees.close();
  }
});

t.test('nobody keeps what nobody needs', async (t) => {
  const trees = new TwoBranches(t, { keepUndo: 0 });
  trees.fill((work) => work.write('f', 'fill'));
  trees.theirs.write('b', 'b');
  trees.ours.write('later', 'x');
  trees.ours.volume.branchCommands.fork('c', {}, 'test');
  trees.theirs.volume.leave();
  trees.volume.branchCommands.delete('b', 'test');
  trees.flush();
  t.same(keeps(trees, 'c'), [], 'it has more in common with main');
  t.strictSame(trees.check().findings, []);
});
