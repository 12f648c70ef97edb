import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Deferred } from '../../../src/lib/deferred.js';
import { errnoOf, makeRig, OTHER, ROOT, settledValue, USER } from '../fixtures/simulated-kernel.js';

t.test('files, directories and links, as a kernel uses them', (t) => {
  const { kernel, tree, close } = makeRig();
  kernel.mkdir('d');
  const file = kernel.create('d/f', 'hello');
  kernel.symlink('d/l', '../target');
  kernel.link('d/f', 'g');
  t.equal(kernel.stat('g').nlink, 2);
  t.equal(kernel.stat('g').inoLow, kernel.stat('d/f').inoLow);
  t.strictSame(kernel.list('d'), ['f', 'l']);
  t.strictSame(kernel.list('', true), ['d', 'g']);
  t.equal(kernel.readlink('d/l'), '../target');
  t.equal(
    errnoOf(() => kernel.stat('nothing')),
    'ENOENT',
  );
  t.equal(
    errnoOf(() => kernel.stat('nothing')),
    'ENOENT',
    'from the cache',
  );
  t.equal(
    errnoOf(() => kernel.create('d/f')),
    'EEXIST',
  );
  t.equal(
    errnoOf(() => kernel.rmdir('d')),
    'ENOTEMPTY',
  );
  t.equal(
    errnoOf(() => kernel.stat('x'.repeat(256))),
    'ENAMETOOLONG',
  );
  kernel.truncate('g', 2);
  t.equal(kernel.readFile('g'), 'he');
  kernel.rename('g', 'h');
  t.equal(kernel.walk('h'), file);
  t.equal(tree.open(), 'no-open');
  close();
  t.end();
});

t.test('an unlinked file lives until the kernel forgets it, and no longer', (t) => {
  const { kernel, volume, tree, close } = makeRig();
  kernel.create('f', 'still here');
  const open = kernel.open('f');
  kernel.unlink('f');
  t.equal(kernel.readFrom(open), 'still here');
  kernel.writeTo(open, 'S');
  t.equal(kernel.readFrom(open), 'Still here');
  t.equal(kernel.getattr(open).nlink, 0);
  kernel.close(open);
  t.equal(volume.inode(volume.live, open), undefined);

  const { entry } = tree.tmpfile(USER, 1, 0o600);
  tree.write(USER, entry.nodeId, 0, 0, Buffer.from('named later'), false);
  const linked = tree.link(USER, entry.nodeId, 1, 'named');
  t.equal(linked.attr.nlink, 1);
  tree.forget(entry.nodeId, 2);
  t.equal(kernel.readFile('named'), 'named later', 'forgetting keeps what has a name');
  const unnamed = tree.tmpfile(USER, 1, 0o600).entry.nodeId;
  tree.forget(unnamed, 1);
  t.equal(volume.inode(volume.live, unnamed), undefined);

  kernel.create('a', 'replaced');
  kernel.create('b', 'replacing');
  const replaced = kernel.open('a');
  kernel.rename('b', 'a');
  t.equal(kernel.readFrom(replaced), 'replaced');
  kernel.close(replaced);
  t.equal(volume.inode(volume.live, replaced), undefined);
  t.equal(kernel.readFile('a'), 'replacing');
  close();
  t.end();
});

t.test("hidden names exist without being listed, and can't be changed", (t) => {
  const { kernel, close } = makeRig();
  kernel.mkdir('d');
  t.strictSame(kernel.list(''), ['d']);
  t.equal(kernel.stat('.snapshots').mode, 0o040755);
  t.equal(kernel.stat('d/.snapshots').uid, 1000);
  t.equal(kernel.readlink('.control'), '/run/control');
  t.equal(
    errnoOf(() => kernel.stat('d/.control')),
    'ENOENT',
    'in the root only',
  );
  t.equal(
    errnoOf(() => kernel.mkdir('.snapshots')),
    'EEXIST',
  );
  t.equal(
    errnoOf(() => kernel.create('d/.snapshots')),
    'EEXIST',
  );
  t.equal(
    errnoOf(() => kernel.symlink('.control', 'x')),
    'EEXIST',
  );
  t.equal(
    errnoOf(() => kernel.unlink('.control')),
    'EPERM',
  );
  t.equal(
    errnoOf(() => kernel.rmdir('d/.snapshots')),
    'EPERM',
  );
  t.equal(
    errnoOf(() => kernel.rename('.snapshots', 'x')),
    'EPERM',
  );
  t.equal(
    errnoOf(() => kernel.rename('d', '.snapshots')),
    'EPERM',
  );
  t.equal(
    errnoOf(() => kernel.create('.snapshots/f')),
    'EPERM',
  );
  kernel.forget(kernel.walk('.control'));
  t.equal(kernel.readlink('.control'), '/run/control', 'also after it was forgotten');
  kernel.rmdir('d');
  close();
  t.end();
});

t.test('a real name of the base directory that is hidden stays hidden, in snapshots too', (t) => {
  const base = mkdtempSync(join(tmpdir(), 'tree-base-'));
  mkdirSync(join(base, '.snapshots'));
  writeFileSync(join(base, '.control'), 'real');
  writeFileSync(join(base, 'f'), 'base');
  const { kernel, save, close } = makeRig({ base });
  kernel.caller = ROOT;
  save('s');
  t.strictSame(kernel.list('', true), ['f']);
  t.equal(kernel.readlink('.control'), '/run/control');
  t.strictSame(kernel.list('.snapshots/s', true), ['f']);
  t.equal(
    errnoOf(() => kernel.stat('.snapshots/s/.control')),
    'ENOENT',
  );
  t.equal(
    errnoOf(() => kernel.stat('.snapshots/s/.snapshots')),
    'ENOENT',
  );
  t.equal(kernel.readFile('.snapshots/s/f'), 'base');
  close();
  rmSync(base, { recursive: true });
  t.end();
});

t.test('owner, set-group-id and set-id bits', (t) => {
  const { kernel, tree, close } = makeRig();
  kernel.mkdir('d');
  const directory = kernel.walk('d');
  tree.setattr(USER, directory, { mode: 0o042775, gid: 50 });
  t.equal(tree.getattr(USER, directory).mode & 0o2000, 0o2000, 'directories keep set-group-id');
  kernel.caller = OTHER;
  const file = kernel.create('d/f');
  t.strictSame([kernel.stat('d/f').uid, kernel.stat('d/f').gid], [2000, 50]);
  kernel.mkdir('d/e');
  t.equal(kernel.stat('d/e').mode, 0o042755);
  const setId = (mode: number): number => tree.setattr(USER, file, { mode }).mode & 0o7777;
  t.equal(setId(0o106755), 0o6755);
  tree.write(USER, file, 0, 0, Buffer.from('x'), true);
  t.equal(tree.getattr(USER, file).mode & 0o7777, 0o755, 'a write takes both');
  setId(0o106644);
  t.equal(tree.setattr(USER, file, { size: 0, killSetId: true }).mode & 0o7777, 0o2644);
  setId(0o106755);
  t.equal(tree.setattr(USER, file, { uid: 5 }).mode & 0o7777, 0o755, 'a new owner takes both');
  close();
  t.end();
});

t.test('a read-only mount changes nothing', (t) => {
  const { kernel, tree, close } = makeRig({ readOnly: true });
  t.equal(
    errnoOf(() => kernel.mkdir('d')),
    'EROFS',
  );
  t.equal(
    errnoOf(() => kernel.create('f')),
    'EROFS',
  );
  t.equal(
    errnoOf(() => kernel.mkdir('.snapshots/s')),
    'EROFS',
  );
  t.equal(
    errnoOf(() => tree.setattr(USER, 1, { mode: 0o40777 })),
    'EROFS',
  );
  t.equal(tree.fsync(USER, 1), undefined);
  close();
  t.end();
});

t.test('fallocate, copy_file_range, lseek, statfs', (t) => {
  const { kernel, tree, close } = makeRig();
  const f = kernel.create('f', 'x'.repeat(200_000));
  const g = kernel.create('g');
  t.equal(tree.copyFileRange(USER, f, 0, g, 0, 200_000), 200_000);
  t.equal(tree.getattr(USER, g).size, 200_000);
  tree.fallocate(USER, f, 0, 0, 131_072, 3);
  const hole = tree.lseek(USER, f, 0, 0, 3);
  t.equal(typeof hole, 'object', 'the kernel writes out first');
  t.equal(settledValue(hole as Deferred<number>), 131_072);
  t.equal(
    errnoOf(() => tree.fallocate(USER, f, 0, 0, 1, 8)),
    'EOPNOTSUPP',
  );
  const ZERO_RANGE = 0x10;
  t.equal(
    errnoOf(() => tree.fallocate(USER, g, 0, 0, 2 ** 52 + 1, ZERO_RANGE)),
    'EFBIG',
  );
  t.equal(
    settledValue(tree.lseek(USER, g, 0, 0, 4) as Deferred<number>),
    200_000,
    'nothing is done',
  );
  tree.fallocate(USER, g, 0, 0, 300_000, 0);
  t.equal(tree.getattr(USER, g).size, 300_000);
  t.ok(tree.statfs().blocks > 0);
  close();
  t.end();
});

t.test('extended attributes', (t) => {
  const { kernel, tree, close } = makeRig();
  const f = kernel.create('f');
  tree.setxattr(USER, f, 'user.a', Buffer.from('1'), 0);
  t.strictSame(tree.listxattr(USER, f), ['user.a']);
  t.equal(kernel.getxattr('f', 'user.a'), '1');
  tree.removexattr(USER, f, 'user.a');
  t.equal(
    errnoOf(() => kernel.getxattr('f', 'user.a')),
    'ENODATA',
  );
  const set = (name: string): string =>
    errnoOf(() => tree.setxattr(USER, f, name, Buffer.from('1'), 0));
  t.equal(set('user.shadowfs.layer'), 'EPERM');
  t.equal(set('system.posix_acl_access'), 'EOPNOTSUPP');
  close();
  t.end();
});
