import t from 'tap';
import { FsError } from '../../../src/lib/errors.js';
import { FIRST_SPECIAL } from '../../../src/tree/nodes/node-table.js';
import { errnoOf, makeRig, USER } from '../fixtures/simulated-kernel.js';

t.test('a changed file gets a new node; the old one can be read, not written', (t) => {
  const { kernel, tree, save, restore, close } = makeRig();
  const changed = kernel.create('changed', 'old');
  const same = kernel.create('same', 'same');
  const mode = kernel.create('mode', 'mode');
  kernel.create('gone', 'gone');
  save('s');
  kernel.writeTo(changed, 'new!');
  tree.setattr(USER, mode, { mode: 0o100600 });
  kernel.unlink('gone');
  const added = kernel.create('added', 'added');
  t.equal(
    errnoOf(() => kernel.stat('gone')),
    'ENOENT',
  );
  const open = [changed, same, added].map((node) => {
    const path = node === changed ? 'changed' : node === same ? 'same' : 'added';
    return kernel.open(path);
  });
  t.strictSame(open, [changed, same, added]);
  t.equal(kernel.readFrom(same), 'same');

  const report = restore('s');
  t.equal(report.staleNodes, 3);
  t.equal(kernel.readFile('changed'), 'old');
  t.ok(kernel.walk('changed') >= FIRST_SPECIAL);
  t.equal(kernel.stat('changed').inoLow, changed % 2 ** 32, 'its inode number stays');
  t.equal(kernel.walk('same'), same);
  t.ok(kernel.nodes.get(same)?.pages, 'an unchanged file keeps its pages');
  t.not(kernel.walk('mode'), mode);
  t.equal(kernel.stat('mode').mode, 0o100644);
  t.equal(kernel.readFile('gone'), 'gone', 'a negative name was expired');
  t.equal(
    errnoOf(() => kernel.stat('added')),
    'ENOENT',
  );

  t.equal(kernel.readFrom(changed), 'new!');
  t.equal(
    errnoOf(() => kernel.writeTo(changed, 'x')),
    'ESTALE',
  );
  t.equal(
    errnoOf(() => tree.write(USER, changed, 0, 0, Buffer.from('x'), false)),
    'ESTALE',
  );
  t.equal(
    errnoOf(() => tree.setattr(USER, changed, { size: 0 })),
    'ESTALE',
  );
  t.equal(
    errnoOf(() => tree.fsync(USER, changed)),
    'ESTALE',
  );
  t.equal(
    errnoOf(() => tree.link(USER, changed, 1, 'x')),
    'ESTALE',
  );
  t.equal(kernel.readFrom(added), 'added');
  kernel.writeTo(same, 'SAME');
  t.equal(kernel.readFile('same'), 'SAME', 'a descriptor of an unchanged file goes on');
  close();
  t.end();
});

t.test('before the coherent phase has run, every request settles its node first', (t) => {
  const { kernel, tree, save, startRestore, close } = makeRig();
  const f = kernel.create('f', 'one');
  const g = kernel.create('g', 'g');
  kernel.create('h', 'h');
  const u = kernel.create('u', 'u');
  save('s');
  for (const node of [f, g, u]) kernel.writeTo(node, 'two');
  const open = kernel.open('f');
  const held = kernel.open('u');
  const finish = startRestore('s');
  t.equal(
    errnoOf(() => tree.write(USER, open, 0, 0, Buffer.from('x'), false)),
    'ESTALE',
  );
  t.match(tree.getattr(USER, g), { size: 3, nlink: 0, attrTimeoutS: 0 }, 'a file without a name');
  tree.writeback = true;
  t.equal(
    errnoOf(() => tree.getattr(USER, g)),
    'ESTALE',
    'which a kernel with a writeback cache must not know',
  );
  tree.writeback = false;
  // A name is removed and replaced through the kernel's cached, unsettled node.
  tree.unlink(USER, 1, 'u');
  tree.rename(USER, 1, 'h', 1, 'g', 0);
  const out = Buffer.alloc(10);
  t.equal(tree.read(USER, held, 0, 0, 10, out, 0), 3);
  t.equal(out.toString('latin1', 0, 3), 'two', 'reads go on with the old version');
  const fresh = kernel.create('fresh', 'made after the switch');
  kernel.writeTo(fresh, 'M');
  finish();
  t.equal(kernel.walk('fresh'), fresh, 'what was made since is not stale');
  kernel.writeTo(fresh, 'N');
  t.equal(kernel.readFile('fresh'), 'Nade after the switch');
  t.equal(kernel.readFile('f'), 'one');
  t.equal(kernel.readFile('g'), 'h');
  close();
  t.end();
});

t.test('a removed directory that comes back has a new node, since the old one is dead', (t) => {
  const { kernel, tree, save, restore, close } = makeRig();
  save('empty');
  const removed = kernel.mkdir('removed');
  const kept = kernel.mkdir('kept');
  kernel.create('removed/f', 'f');
  const over = kernel.mkdir('over');
  save('s');
  kernel.unlink('removed/f');
  tree.rmdir(USER, 1, 'removed');
  tree.rename(USER, 1, 'kept', 1, 'over', 0);
  restore('empty');
  t.strictSame(kernel.list('', true), []);
  restore('s');
  t.not(kernel.walk('removed'), removed);
  t.not(kernel.walk('over'), over, 'replaced is removed');
  t.equal(kernel.walk('kept'), kept, 'a directory that was only moved keeps its node');
  t.equal(kernel.readFile('removed/f'), 'f');
  t.equal(
    errnoOf(() => tree.getattr(USER, removed)),
    'ESTALE',
  );
  close();
  t.end();
});

t.test('several restores in a row, also before the first is coherent', (t) => {
  const { kernel, tree, save, restore, startRestore, close } = makeRig();
  kernel.create('f', 'one');
  save('s1');
  kernel.writeTo(kernel.walk('f'), 'two');
  save('s2');
  kernel.writeTo(kernel.walk('f'), 'three');
  const three = kernel.open('f');
  restore('s2');
  const two = kernel.open('f');
  t.equal(kernel.readFrom(two), 'two');
  restore('s1');
  const one = kernel.open('f');
  t.equal(new Set([one, two, three]).size, 3);
  const first = startRestore('s2');
  const second = startRestore('s1');
  second();
  first();
  t.equal(kernel.readFile('f'), 'one');
  t.strictSame(
    [one, two, three].map((node) => kernel.readFrom(node)),
    ['one', 'two', 'three'],
  );
  for (const node of [two, three])
    t.equal(
      errnoOf(() => kernel.writeTo(node, 'x')),
      'ESTALE',
    );
  for (const node of [one, two, three]) kernel.close(node);
  kernel.forgetAll();
  t.strictSame(tree.status(), { live: 0, special: 0 });
  t.ok(kernel.walk('f') < FIRST_SPECIAL, 'once all is forgotten the number is the node again');
  close();
  t.end();
});

t.test('directories and links keep their nodes', (t) => {
  const { kernel, save, restore, close } = makeRig();
  const d = kernel.mkdir('d');
  kernel.mkdir('d/e');
  kernel.create('d/e/f', 'f');
  const l = kernel.symlink('l', 'one');
  save('s');
  kernel.rename('d', 'moved');
  kernel.create('moved/new', 'new');
  kernel.unlink('l');
  kernel.symlink('l', 'two');
  const late = kernel.mkdir('late');
  kernel.open('late');
  t.equal(kernel.readlink('l'), 'two');
  t.strictSame(kernel.list('moved', true), ['e', 'new']);
  restore('s');
  t.equal(kernel.walk('d'), d);
  t.strictSame(kernel.list('d', true), ['e']);
  t.equal(
    errnoOf(() => kernel.stat('moved')),
    'ENOENT',
  );
  t.equal(kernel.readlink('l'), 'one');
  t.equal(kernel.walk('l'), l);
  t.equal(
    errnoOf(() => kernel.getattr(late)),
    'ESTALE',
  );
  t.ok(
    kernel.notified.some((n) => n.kind === 'inval-inode' && n.node === d && n.offset === 0),
    'a directory loses its cached listing',
  );
  close();
  t.end();
});

t.test('hard links all lead to the restored file', (t) => {
  const { kernel, save, restore, close } = makeRig();
  kernel.mkdir('d');
  kernel.create('a', 'one');
  kernel.link('a', 'd/b');
  save('s');
  kernel.link('a', 'c');
  kernel.writeTo(kernel.walk('c'), 'two');
  kernel.unlink('a');
  kernel.walk('d/b');
  restore('s');
  t.equal(kernel.readFile('a'), 'one');
  t.equal(kernel.readFile('d/b'), 'one');
  t.equal(kernel.walk('a'), kernel.walk('d/b'));
  t.equal(kernel.stat('a').nlink, 2);
  t.equal(
    errnoOf(() => kernel.stat('c')),
    'ENOENT',
  );
  close();
  t.end();
});

t.test('open files without a name', (t) => {
  const { kernel, tree, volume, save, restore, close } = makeRig();
  kernel.create('before', 'before');
  const before = kernel.open('before');
  kernel.unlink('before');
  save('s');
  kernel.create('since', 'since');
  const since = kernel.open('since');
  kernel.unlink('since');
  kernel.create('back', 'back');
  save('t');
  const back = kernel.open('back');
  kernel.unlink('back');
  restore('t');
  restore('s');
  t.equal(kernel.readFrom(before), 'before');
  t.equal(kernel.readFrom(since), 'since');
  t.equal(kernel.readFrom(back), 'back');
  for (const node of [since, back]) {
    t.equal(
      errnoOf(() => tree.write(USER, node, 0, 0, Buffer.from('x'), false)),
      'ESTALE',
    );
  }
  restore('t');
  t.equal(kernel.readFile('back'), 'back');
  for (const node of [before, since, back]) kernel.close(node);
  for (const node of [before, since]) t.equal(volume.inode(volume.live, node), undefined);
  close();
  t.end();
});

t.test('names of removed or replaced files are dropped, names of kept files expire', (t) => {
  const { kernel, save, restore, close } = makeRig();
  const changed = kernel.create('changed', 'old');
  kernel.symlink('moved', 'target');
  save('s');
  kernel.writeTo(kernel.walk('changed'), 'new');
  const added = kernel.create('added', 'added');
  kernel.mkdir('made');
  kernel.rename('moved', 'away');
  kernel.rename('away', 'moved');
  for (const name of ['changed', 'added', 'made', 'moved']) kernel.stat(name);
  restore('s');
  const told = new Map<string, unknown>();
  for (const n of kernel.notified) {
    if (n.kind === 'inval-entry') told.set(n.name, n.expireOnly);
    if (n.kind === 'delete') told.set(n.name, n.child);
  }
  t.equal(told.get('changed'), changed, 'it leads to a new node now, and the old one is gone');
  t.equal(told.get('added'), added, 'nothing has that name any more');
  t.equal(told.get('made'), true, 'a directory: there may be mounts below it');
  t.equal(told.get('moved'), true, 'the same link has it again');
  close();
  t.end();
});

t.test('above a number of names all expire at once', (t) => {
  const names = 50;
  const changeAndRestore = (
    rig: ReturnType<typeof makeRig>,
  ): { incEpoch: boolean; kinds: string[] } => {
    const { kernel, save, restore } = rig;
    for (let i = 0; i < names; i++) kernel.create(`f${i}`, 'one');
    save('s');
    for (let i = 0; i < names; i++) kernel.writeTo(kernel.walk(`f${i}`), 'two');
    const { incEpoch } = restore('s');
    for (let i = 0; i < names; i++) t.equal(kernel.readFile(`f${i}`), 'one');
    const kinds = kernel.notified.map((n) => n.kind);
    rig.close();
    return { incEpoch, kinds };
  };
  const few = changeAndRestore(makeRig());
  t.notOk(few.incEpoch);
  t.equal(few.kinds.filter((kind) => kind === 'delete').length, names);
  const many = changeAndRestore(makeRig({ epochThreshold: 10 }));
  t.ok(many.incEpoch);
  t.equal(many.kinds.filter((kind) => kind === 'delete').length, 10);
  const old = changeAndRestore(makeRig({ epochThreshold: 10, notifier: { canIncEpoch: false } }));
  t.notOk(old.incEpoch);
  t.equal(old.kinds.filter((kind) => kind === 'delete').length, names);
  t.end();
});

t.test('a file that can not be read meanwhile does not stop the restore of the others', (t) => {
  const { kernel, volume, save, startRestore, close } = makeRig();
  kernel.mkdir('dir');
  const locked = kernel.create('dir/locked', 'old');
  const other = kernel.create('dir/other', 'old');
  save('s');
  kernel.writeTo(locked, 'newer');
  kernel.writeTo(other, 'newer');
  kernel.create('dir/added', 'a');
  for (const path of ['dir/locked', 'dir/other']) t.equal(kernel.readFile(path), 'newer');
  const finish = startRestore('s');
  const { inode, lookup } = volume;
  const refuse = (): never => {
    throw new FsError('EACCES', 'stat', 'dir/locked');
  };
  volume.inode = (view, ino) => (ino === locked ? refuse() : inode.call(volume, view, ino));
  volume.lookup = (view, directory, name) =>
    name === 'locked' || name === 'added' ? refuse() : lookup.call(volume, view, directory, name);
  finish();
  t.equal(kernel.readFile('dir/other'), 'old');
  t.equal(
    errnoOf(() => kernel.stat('dir/added')),
    'EACCES',
    'who asks for it learns why',
  );
  volume.inode = inode;
  volume.lookup = lookup;
  t.equal(kernel.readFile('dir/locked'), 'old', 'nothing of the other version is left');
  close();
  t.end();
});
