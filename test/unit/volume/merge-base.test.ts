/** Merges over a base directory (format.md, rules M1–M7, F10, F12, D11). */
import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { S_IFREG } from '../../../src/lib/file-mode.js';
import { applyAll } from './apply-fixture.js';
import { TwoBranches } from './merge-fixture.js';

const BLOCK = 4096;

function fillBase(path: string): void {
  mkdirSync(join(path, 'd/deep'), { recursive: true });
  mkdirSync(join(path, 'e'));
  writeFileSync(join(path, 'd/one'), 'one');
  writeFileSync(join(path, 'd/two'), 'two');
  writeFileSync(join(path, 'd/deep/file'), 'deep');
  writeFileSync(join(path, 'large'), 'x'.repeat(10 * BLOCK));
  writeFileSync(join(path, 'e/four'), 'four');
  symlinkSync('large', join(path, 'link'));
  linkSync(join(path, 'd/one'), join(path, 'hard'));
}

function over(t: Test): TwoBranches {
  const trees = new TwoBranches(t, {}, fillBase);
  trees.fill(() => undefined);
  return trees;
}

t.test('files of the base, changed on one side each', async (t) => {
  const trees = over(t);
  const { ours, theirs } = trees;
  ours.patch('large', 3 * BLOCK, 'OURS');
  ours.chmod('d/deep', 0o700);
  theirs.write('d/two', 'two there');
  theirs.rename('d/deep', 'moved');
  theirs.write('moved/new', 'new');
  theirs.remove('e');
  theirs.unlink('link');
  trees.flush();
  ours.merge('b');
  t.same(ours.names(''), ['d', 'hard', 'large', 'moved']);
  t.equal(ours.text('d/two'), 'two there');
  t.same(ours.names('moved'), ['file', 'new']);
  t.equal(ours.text('moved/file'), 'deep', 'what lies below a renamed directory of the base');
  t.equal(ours.at('moved').mode & 0o777, 0o700);
  t.equal(ours.text('large').slice(3 * BLOCK, 3 * BLOCK + 5), 'OURSx');
  t.same(trees.check().findings, []);
  const merged = ours.tree();
  trees.reopen();
  t.same(trees.ours.tree(), merged);
  trees.collect();
  t.same(trees.ours.tree(), merged);
  t.same(trees.check().findings, []);
});

t.test('what was changed keeps its name, whatever others do (F12)', async (t) => {
  const trees = over(t);
  trees.ours.write('own', 'x');
  trees.theirs.write('d/deep/file', 'changed in b');
  trees.flush();
  trees.ours.merge('b');
  rmSync(join(trees.basePath, 'd'), { recursive: true });
  trees.reopen();
  t.equal(trees.ours.text('d/deep/file'), 'changed in b');
});

t.test('one block of a large file of the base is copied', async (t) => {
  const trees = over(t);
  const { ours, theirs } = trees;
  ours.write('own', 'x');
  theirs.patch('large', 5 * BLOCK, 'THEIRS');
  theirs.truncate('large', 8 * BLOCK + 10);
  trees.flush();
  ours.merge('b');
  t.equal(ours.text('large'), theirs.text('large'));
  const runs = trees.volume.runs(trees.volume.live, ours.at('large'));
  const bytes = (where: string): number =>
    runs.reduce((sum, run) => sum + (run.where === where ? run.length : 0), 0);
  t.equal(bytes('layer'), BLOCK + 10);
  t.equal(bytes('base'), 7 * BLOCK);
  t.same(trees.check().findings, []);
});

t.test('conflicts over the base, settled either way', async (t) => {
  for (const resolve of ['ours', 'theirs'] as const) {
    const trees = over(t);
    const { ours, theirs } = trees;
    ours.write('d/two', 'ours');
    ours.remove('e');
    ours.rename('d/deep', 'here');
    ours.unlink('link');
    theirs.write('d/two', 'theirs');
    theirs.write('e/four', 'theirs');
    theirs.rename('d/deep', 'there');
    theirs.unlink('link');
    theirs.symlink('link', 'd');
    trees.flush();
    t.same(ours.conflicts('b').sort(), [
      'content d/two d/two',
      'removed-here - e/four',
      'removed-here - link',
      'renamed here there',
    ]);
    const before = ours.tree();
    ours.merge('b', resolve);
    t.same(ours.tree(), resolve === 'ours' ? before : theirs.tree());
    t.same(trees.check().findings, []);
    trees.collect();
    t.same(ours.tree(), resolve === 'ours' ? before : theirs.tree());
    t.same(trees.check().findings, []);
  }
});

t.test('hard links of the base', async (t) => {
  const trees = over(t);
  const { ours, theirs } = trees;
  ours.write('own', 'x');
  theirs.write('hard', 'both');
  theirs.link('hard', 'third');
  trees.flush();
  ours.merge('b');
  t.equal(ours.text('d/one'), 'both');
  t.equal(ours.at('third').ino, ours.at('hard').ino);
  t.equal(ours.at('third').nlink, 3);
  theirs.unlink('hard');
  trees.flush();
  ours.merge('b');
  t.equal(ours.find('hard'), undefined);
  t.equal(ours.at('third').nlink, 2);
  t.same(trees.check().findings, []);
});

t.test('a merge between applies', async (t) => {
  const trees = over(t);
  const { ours, theirs } = trees;
  ours.write('d/two', 'applied');
  ours.write('fresh', 'applied, too');
  ours.rename('d/deep', 'moved');
  trees.flush();
  applyAll(trees);
  theirs.write('d/one', 'from b');
  theirs.write('d/deep/file', 'from b');
  trees.flush();
  t.equal(theirs.text('d/two'), 'two', 'the branch still shows what the base lost');
  ours.merge('b');
  t.equal(ours.text('hard'), 'from b');
  t.equal(ours.text('moved/file'), 'from b');
  t.equal(ours.text('fresh'), 'applied, too');
  t.same(trees.check().findings, []);
  applyAll(trees);
  theirs.write('fresh2', 'x');
  theirs.merge('main');
  t.equal(theirs.text('d/two'), 'applied');
  t.equal(theirs.text('moved/file'), 'from b');
  t.equal(theirs.text('fresh2'), 'x');
  trees.collect();
  t.same(trees.check().findings, []);
});

t.test('a branch that goes back to before a merge', async (t) => {
  const trees = over(t);
  const { ours, theirs } = trees;
  trees.volume.save('start', 'test');
  trees.flush();
  ours.write('own', 'x');
  theirs.remove('d');
  trees.flush();
  ours.merge('b');
  t.equal(ours.find('d'), undefined);
  theirs.volume.restore('start', 'test');
  trees.flush();
  theirs.volume.create({ uid: 0, gid: 0 }, 1, 'mark', { mode: S_IFREG | 0o600 });
  trees.flush();
  const { outcome } = ours.merge('b');
  t.equal(outcome, 'merged');
  t.same(trees.check().findings, []);
  t.ok(ours.find('mark'));
  // What both come from is the snapshot now (M3): since then only we have removed the directory.
  t.equal(ours.find('d'), undefined);
});
