/** Programs that watch: what is touched after a restore, and what the toucher is answered. */
import t from 'tap';
import { FsError } from '../../../src/lib/errors.js';
import { S_IFDIR, S_IFMT, S_IFREG } from '../../../src/lib/file-mode.js';
import type { Caller } from '../../../src/tree/operations.js';
import type { Touch } from '../../../src/tree/watchers/touch.js';
import { Watched } from '../../../src/tree/watchers/watched.js';
import { errnoOf, makeRig, type Rig, USER } from '../fixtures/simulated-kernel.js';

const TOUCHER: Caller = { ...USER, pid: 77 };
const SECRET = '.shadowfs-secret';

/** Restores, and gives what is touched for those who watch these nodes. */
function touchesOf(rig: Rig, name: string, inodes: number[], everything = false): string[] {
  const { tree, volume } = rig;
  const { from, to } = volume.restore(name, 'test');
  const transition = tree.transition(from, to);
  for (const layer of [from.top, to.top]) volume.pin(layer);
  volume.flush();
  const job = tree.coherence(transition);
  while (job.next().done !== true);
  const touches = tree.watchedChanges(transition, new Watched({ inodes, everything }));
  return [...touches].flatMap((touch) => (touch === undefined ? [] : [shown(touch)])).sort();
}

function shown({ kind, parentPath, name }: Touch): string {
  return `${kind} ${parentPath}/${name}`;
}

function removed(directory: number, name: string, isDirectory = false): Touch {
  return { kind: 'removed', directory, parentPath: '', name, isDirectory };
}

function added(directory: number, name: string, mode: number): Touch {
  return { kind: 'added', directory, parentPath: '', name, mode, rdev: 0 };
}

function recognised(rig: Rig, touches: Touch[]) {
  const notifications = rig.tree.touching.begin(SECRET, touches, rig.volume.live);
  rig.tree.lookup(TOUCHER, 1, SECRET);
  return notifications;
}

t.test('changes in watched directories, and of watched files, are touched', (t) => {
  const rig = makeRig();
  const { kernel, tree, save, close } = rig;
  const watched = kernel.mkdir('watched');
  const inner = kernel.mkdir('watched/inner');
  const other = kernel.mkdir('other');
  for (const name of ['changed', 'gone', 'moved', 'same', 'type']) {
    kernel.create(`watched/${name}`, name);
    kernel.create(`other/${name}`, name);
  }
  const single = kernel.walk('other/changed');
  save('s');
  for (const directory of ['watched', 'other']) {
    kernel.writeTo(kernel.walk(`${directory}/changed`), 'other');
    kernel.unlink(`${directory}/gone`);
    kernel.rename(`${directory}/moved`, `${directory}/new name`);
    kernel.create(`${directory}/added`, 'a');
    kernel.unlink(`${directory}/type`);
    kernel.mkdir(`${directory}/type`);
  }
  tree.setattr(USER, inner, { mode: 0o40700 });
  t.strictSame(touchesOf(rig, 's', [watched, single]), [
    'added watched/gone',
    'added watched/moved',
    'added watched/type',
    'attributes watched/inner',
    'modified other/changed',
    'modified watched/changed',
    'modified watched/gone',
    // An inode that changed has a new node: who watches its old one is told of the name only.
    'modified watched/moved',
    'modified watched/moved',
    'modified watched/type',
    'removed watched/added',
    'removed watched/new name',
  ]);
  t.strictSame(touchesOf(rig, 's', [other, watched]), [], 'nothing changed since');
  close();
  t.end();
});

t.test('what can not be read is not told, and the rest is', (t) => {
  const rig = makeRig();
  const { kernel, volume, save, close } = rig;
  const dir = kernel.mkdir('dir');
  const locked = kernel.create('dir/locked', 'old');
  kernel.create('dir/other', 'old');
  save('s');
  for (const name of ['locked', 'other']) kernel.writeTo(kernel.walk(`dir/${name}`), 'new');
  const { lookup } = volume;
  volume.lookup = (view, directory, name) => {
    if (name === 'locked') throw new FsError('EACCES', 'stat', name);
    return lookup.call(volume, view, directory, name);
  };
  t.strictSame(touchesOf(rig, 's', [dir, locked]), ['modified dir/other']);
  volume.lookup = lookup;
  close();
  t.end();
});

t.test('the root, hard links, and whoever watches everything', (t) => {
  const rig = makeRig();
  const { kernel, tree, save, close } = rig;
  const one = kernel.mkdir('one');
  kernel.mkdir('two');
  kernel.create('one/a', 'a');
  kernel.link('one/a', 'two/b');
  save('s');
  kernel.writeTo(kernel.walk('two/b'), 'B');
  tree.setattr(USER, 1, { mode: 0o40700 });
  t.strictSame(touchesOf(rig, 's', [one]), ['modified one/a']);
  kernel.writeTo(kernel.walk('two/b'), 'B');
  tree.setattr(USER, 1, { mode: 0o40700 });
  t.strictSame(touchesOf(rig, 's', [], true), ['attributes /', 'modified one/a', 'modified two/b']);
  close();
  t.end();
});

t.test('watched directories that are gone are removed, the deepest first', (t) => {
  const rig = makeRig();
  const { kernel, tree, volume, save, restore, close } = rig;
  save('s');
  const outer = kernel.mkdir('outer');
  const inner = kernel.mkdir('outer/inner');
  const deep = kernel.mkdir('outer/inner/deep');
  save('later');
  const { from, to } = volume.restore('s', 'test');
  const transition = tree.transition(from, to);
  volume.pin(from.top);
  volume.flush();
  const job = tree.coherence(transition);
  while (job.next().done !== true);
  const found = tree.forsaken(transition, new Watched({ inodes: [deep], everything: false }));
  t.strictSame(found.map(shown), [
    'removed outer/inner/deep',
    'removed outer/inner',
    'removed /outer',
  ]);
  tree.touching.begin(SECRET, found, from);
  tree.lookup(TOUCHER, 1, SECRET);
  t.match(tree.lookup(USER, 1, 'outer'), { nodeId: 0, entryTimeoutS: 0 });
  t.equal(tree.lookup(TOUCHER, 1, 'outer').nodeId, outer);
  t.match(tree.getattr(TOUCHER, outer), { attrTimeoutS: 0, inoLow: outer % 2 ** 32 });
  t.equal(
    errnoOf(() => tree.getattr(USER, outer)),
    'ESTALE',
  );
  t.equal(tree.lookup(TOUCHER, outer, 'inner').nodeId, inner);
  tree.rmdir(TOUCHER, outer, 'inner');
  tree.rmdir(TOUCHER, 1, 'outer');
  tree.touching.end();
  restore('later');
  t.not(kernel.walk('outer'), outer, 'the kernel allows nothing in the old node any more');
  t.not(kernel.walk('outer/inner'), inner);
  t.equal(kernel.walk('outer/inner/deep'), deep, 'one that was not removed keeps its node');
  close();
  t.end();
});

t.test('the toucher removes what is gone and makes what is there, for itself only', (t) => {
  const rig = makeRig();
  const { kernel, tree, volume, close } = rig;
  const file = kernel.create('file', 'f');
  const directory = kernel.mkdir('directory');
  const before = volume.status();
  const notified = recognised(rig, [
    removed(1, 'gone'),
    removed(1, 'gone dir', true),
    added(1, 'file', S_IFREG | 0o644),
    added(1, 'directory', S_IFDIR | 0o755),
  ]);
  t.strictSame(
    notified.map((one) => one.kind === 'inval-entry' && one.name),
    ['gone', 'gone dir'],
    'the kernel must not know already that they are gone',
  );
  const others = tree.lookup(USER, 1, 'gone');
  t.match(others, { nodeId: 0, entryTimeoutS: 0 }, 'nobody else finds it, or remembers it');
  t.equal(tree.lookup(USER, 1, 'file').nodeId, file);

  const phantom = tree.lookup(TOUCHER, 1, 'gone');
  t.match(phantom, { entryTimeoutS: 0, attr: { attrTimeoutS: 0 } });
  t.ok(phantom.nodeId > 0);
  t.equal(phantom.attr.mode & S_IFMT, S_IFREG);
  tree.unlink(TOUCHER, 1, 'gone');
  t.equal(tree.lookup(TOUCHER, 1, 'gone').nodeId, 0, 'once');
  t.equal(tree.lookup(TOUCHER, 1, 'gone dir').attr.mode & S_IFMT, S_IFDIR);
  tree.rmdir(TOUCHER, 1, 'gone dir');

  t.match(tree.lookup(TOUCHER, 1, 'file'), { nodeId: 0, entryTimeoutS: 0 });
  t.equal(tree.mknod(TOUCHER, 1, 'file', S_IFREG | 0o600, 0).nodeId, file);
  t.equal(tree.lookup(TOUCHER, 1, 'file').nodeId, file, 'from then on it is there');
  t.match(tree.mkdir(TOUCHER, 1, 'directory', 0o700), { nodeId: directory });

  const { mtimeS, ctimeS, ctimeNs, mode } = tree.getattr(USER, file);
  const changes = { mtime: { s: 1, ns: 1 }, ctime: { s: 2, ns: 2 }, mode: 0 };
  t.match(tree.setattr(TOUCHER, file, changes), { mtimeS, ctimeS, ctimeNs, mode });
  tree.touching.end();
  t.strictSame(volume.status(), before, 'nothing has changed');
  t.equal(tree.lookup(TOUCHER, 1, 'gone').nodeId, 0, 'it is a process like others afterwards');
  tree.setattr(TOUCHER, file, { mode: S_IFREG | 0o600 });
  t.equal(tree.getattr(USER, file).mode, S_IFREG | 0o600);
  close();
  t.end();
});

t.test('what is no longer so is not told', (t) => {
  const rig = makeRig();
  const { kernel, tree, close } = rig;
  kernel.create('came back', 'precious');
  kernel.create('file', 'f');
  recognised(rig, [
    removed(1, 'came back'),
    added(1, 'went again', S_IFREG | 0o644),
    added(1, 'file', S_IFDIR | 0o755),
  ]);
  t.ok(tree.lookup(TOUCHER, 1, 'came back').nodeId > 0);
  t.equal(
    errnoOf(() => tree.unlink(TOUCHER, 1, 'came back')),
    'EEXIST',
  );
  t.equal(kernel.readFile('came back'), 'precious');
  t.equal(
    errnoOf(() => tree.mknod(TOUCHER, 1, 'went again', S_IFREG, 0)),
    'ENOENT',
  );
  t.equal(
    errnoOf(() => tree.mkdir(TOUCHER, 1, 'file', 0o755)),
    'EEXIST',
    'not of this type',
  );
  t.equal(
    errnoOf(() => tree.unlink(TOUCHER, 1, 'file')),
    'EEXIST',
    'not asked for',
  );
  t.equal(
    errnoOf(() => tree.symlink(TOUCHER, 1, 'never named', '-')),
    'ENOENT',
  );
  t.strictSame(kernel.list(''), ['came back', 'file']);
  tree.touching.end();
  close();
  t.end();
});
