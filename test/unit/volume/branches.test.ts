/**
 * Branches: forked in O(1), never seeing each other's writes, each with its own
 * undo line, schedule and `latest` (format.md, rules B1–B5).
 */
import t from 'tap';
import { TABLE } from '../../../src/format/records/tables.js';
import { encodeJson } from '../../../src/format/records/values.js';
import { checkFormat } from '../../../src/volume/open-volume.js';
import { readMeta } from '../../../src/volume/catalog.js';
import { shownBranches } from '../../../src/volume/branches/shown-branches.js';
import { sentSnapshots } from '../../../src/daemon/peers/read-sync-state.js';
import type { Volume } from '../../../src/volume/volume.js';
import { codeOf } from './code-of.js';
import { VolumeFixture } from './volume-fixture.js';

const BEFORE_BRANCHES = 4;

class Tree extends VolumeFixture {
  /** The file's text on a branch, as a mount of it shows it. */
  textOn(volume: Volume): string {
    const { live } = volume;
    const root = volume.inode(live, 1);
    const inode = root && volume.lookup(live, root, 'file');
    if (inode === undefined) return '(none)';
    const bytes = Buffer.alloc(inode.size);
    volume.read(live, inode, 0, bytes.length, bytes, 0);
    return bytes.toString();
  }

  putOn(volume: Volume, text: string): void {
    const { live } = volume;
    const root = volume.inode(live, 1);
    const found = root && volume.lookup(live, root, 'file');
    const ino = found?.ino ?? volume.create({ uid: 0, gid: 0 }, 1, 'file', { mode: 0o100644 }).ino;
    volume.setAttributes(ino, { size: 0 });
    volume.write(ino, 0, Buffer.from(text));
    this.flush();
  }
}

t.test('a branch is frozen at its fork, whatever either side writes later', async (t) => {
  const tree = new Tree(t);
  const main = tree.volume;
  tree.putOn(main, 'one');
  tree.save('one');
  tree.putOn(main, 'two');
  main.branchCommands.fork('live', {}, 'test');
  main.branchCommands.fork('old', { snapshot: 'one' }, 'test');
  tree.putOn(main, 'three');
  const [live, old] = ['live', 'old'].map((name) => main.at(name)) as [Volume, Volume];
  t.same(
    [main, live, old].map((one) => tree.textOn(one)),
    ['three', 'two', 'one'],
  );
  tree.putOn(live, 'live writes');
  tree.putOn(old, 'old writes');
  t.same(
    [main, live, old].map((one) => tree.textOn(one)),
    ['three', 'live writes', 'old writes'],
  );
  const sealed = main.live.top;
  main.branchCommands.fork('again', { branch: 'live' }, 'test');
  t.equal(main.live.top, sealed, 'only the forked tree is sealed');
  tree.putOn(live, 'later');
  t.equal(tree.textOn(main.at('again')), 'live writes');
  tree.save('end');
  t.same(tree.check().findings, []);
});

t.test('names are checked, taken names refused, near ones told', async (t) => {
  const tree = new Tree(t);
  const { volume } = tree;
  tree.save('both');
  volume.branchCommands.fork('try', {}, 'test');
  volume.branchCommands.fork('both', {}, 'test');
  const code = (name: string, from = {}): string =>
    codeOf(() => volume.branchCommands.fork(name, from, 'test'));
  t.same(
    ['', 'a/b', 'main', 'try', 'x\0', 'n'.repeat(256), '..'].map((name) => code(name)),
    [
      'bad-branch-name',
      'bad-branch-name',
      'branch-exists',
      'branch-exists',
      'bad-branch-name',
      'bad-branch-name',
      'bad-branch-name',
    ],
  );
  t.equal(code('x', { of: 'both' }), 'ambiguous-name');
  t.equal(code('x', { snapshot: 'nope' }), 'no-such-snapshot');
  t.throws(() => volume.branchCommands.fork('x', { branch: 'tri' }, 'test'), {
    message: /did you mean try/,
  });
  for (const name of ['main', 'nope']) {
    t.match(
      codeOf(() => volume.branchCommands.delete(name, 'test')),
      /branch-in-use|no-such-branch/,
    );
    t.match(
      codeOf(() => volume.branchCommands.rename(name, 'y', 'test')),
      /branch-in-use|no-such-branch/,
    );
  }
});

t.test('undo, schedule and latest are of the branch', async (t) => {
  const tree = new Tree(t);
  const main = tree.volume;
  tree.putOn(main, 'a');
  tree.save('a');
  main.branchCommands.fork('dev', {}, 'test');
  const dev = main.at('dev');
  tree.putOn(main, 'b');
  tree.save('b');
  t.equal(dev.latest()?.name, 'a', 'what main saved later is not of the branch');
  tree.putOn(dev, 'c');
  dev.save('c', 'test');
  t.same([main.latest()?.name, dev.latest()?.name], ['b', 'c']);
  tree.putOn(dev, 'd');
  dev.restore('a', 'test');
  t.equal(
    codeOf(() => main.planUndo(undefined)),
    'nothing-to-undo',
  );
  t.equal(tree.textOn(dev), 'a');
  dev.undo(undefined, 'test');
  t.same(
    [main, dev].map((one) => tree.textOn(one)),
    ['b', 'd'],
  );
  dev.schedules.set('every 1h', 'test');
  t.same([main.schedules.text, dev.schedules.text], [undefined, 'every 1h']);
  t.same(
    sentSnapshots(main).map(({ name }) => name),
    ['a', 'b'],
    'a branch stays at home',
  );
  tree.flush();
  dev.branches.close(dev.seat.branch);
  tree.close();
  const again = tree.volume.at('dev');
  t.equal(again.schedules.text, 'every 1h');
  t.match(again.undoSteps(), [{ command: 'restore', name: 'a' }], 'stored with the branch');
});

t.test(
  'a deleted branch leaves an undo snapshot, unless there is nothing of its own',
  async (t) => {
    const tree = new Tree(t);
    const main = tree.volume;
    tree.putOn(main, 'a');
    tree.save('a');
    for (const name of ['idle', 'saved', 'work']) main.branchCommands.fork(name, {}, 'test');
    const mounts = ['saved', 'work'].map((name) => main.at(name));
    for (const mount of mounts) tree.putOn(mount, `by ${mount.seat.branch.name}`);
    mounts[0]?.save('kept', 'test');
    t.equal(
      codeOf(() => main.branchCommands.delete('work', 'test')),
      'branch-in-use',
      'mounted',
    );
    for (const mount of mounts) mount.branches.close(mount.seat.branch);
    const deleted = ['idle', 'saved', 'work'].map(
      (name) => main.branchCommands.delete(name, 'test').undo,
    );
    t.match(deleted, [undefined, undefined, /^undo-/]);
    main.restore(deleted[2] as string, 'test');
    t.equal(tree.textOn(main), 'by work');
    tree.flush();
    t.equal(main.layers.all().filter(({ state }) => state === 'open').length, 1);
    t.same(tree.check().findings, []);
  },
);

t.test('a switch leaves each branch as it is, and is remembered', async (t) => {
  const tree = new Tree(t);
  const main = tree.volume;
  tree.putOn(main, 'a');
  main.branchCommands.fork('dev', {}, 'test');
  const mount = main.at('main');
  const { from } = mount.branchCommands.switchTo('dev', 'test');
  tree.putOn(mount, 'dev');
  t.equal(tree.textOn(main), 'a', 'main itself stays where it is');
  const other = main.at('main');
  t.equal(
    codeOf(() => other.branchCommands.switchTo('dev', 'test')),
    'branch-in-use',
  );
  other.branches.close(other.seat.branch);
  mount.branchCommands.switchTo('main', 'test');
  tree.putOn(mount, 'main again');
  const root = main.inode(from, 1);
  const inode = root && main.lookup(from, root, 'file');
  t.equal(inode?.size, 1, 'who has a file of the left tree open reads what it was');
  t.equal(main.catalog.shownBranch, 'main');
  mount.branchCommands.switchTo('dev', 'test');
  main.branchCommands.rename('dev', 'new', 'test');
  t.same(
    shownBranches(main).map(({ name, forkedFrom, isMounted }) => ({ name, forkedFrom, isMounted })),
    [
      { name: 'main', forkedFrom: null, isMounted: false },
      { name: 'new', forkedFrom: { branch: 'main' }, isMounted: true },
    ],
  );
  tree.flush();
  tree.close();
  t.equal(tree.volume.catalog.shownBranch, 'new', 'the next mount shows it');
  t.equal(tree.textOn(tree.volume.at('new')), 'dev');
});

t.test('older versions refuse a volume as long as it has branches', async (t) => {
  const tree = new Tree(t);
  const { volume, path } = tree;
  const format = (): number | undefined => readMeta<number>(volume.core.reader, 'format');
  volume.branchCommands.fork('dev', {}, 'test');
  tree.flush();
  t.throws(() => checkFormat(path, format(), BEFORE_BRANCHES), { code: 'newer-format' });
  volume.branchCommands.delete('dev', 'test');
  tree.flush();
  t.doesNotThrow(() => checkFormat(path, format(), BEFORE_BRANCHES));
});

t.test('check finds branches that do not fit their layers', async (t) => {
  const tree = new Tree(t);
  const { volume } = tree;
  tree.putOn(volume, 'a');
  tree.save('a');
  volume.branchCommands.fork('dev', {}, 'test');
  tree.flush();
  const key = Buffer.from('branch/dev');
  const record = volume.catalog.branches.get('dev');
  const damage = (value: object | undefined): string[] => {
    volume.putSystem(TABLE.meta, key, value && encodeJson(value));
    tree.flush();
    return tree.check().findings.map(({ rule, what }) => `${rule}: ${what}`);
  };
  t.match(damage(undefined), [/^B1: it is open, and there is no branch dev/]);
  t.match(damage({ ...record, fork: 99 }), [/^B2: the layer 99 that it was forked from/]);
  const { number } = volume.branches.openLayer('main');
  t.match(damage({ ...record, fork: number }), [
    /^B2: the layer \d+ that it was forked from takes changes/,
  ]);
  t.same(damage(record), []);
});

t.test('what a branch has written counts from its fork, wherever a restore takes it', (t) => {
  const tree = new Tree(t);
  const main = tree.volume;
  for (let i = 0; i < 20; i++) tree.write(`same-${i}`, 'same');
  tree.putOn(main, 'one');
  tree.save('one');
  tree.putOn(main, 'two');
  main.branchCommands.fork('back', {}, 'test');
  const back = main.at('back');
  const count = (): number | null =>
    shownBranches(main).find(({ name }) => name === 'back')?.changedFileCount ?? null;
  t.equal(count(), 0);
  back.restore('one', 'test');
  tree.flush();
  t.equal(count(), 1, 'what the restore took back, not the whole tree');
  tree.putOn(back, 'other');
  t.equal(count(), 1);
  t.same(tree.check().findings, []);
  t.end();
});
