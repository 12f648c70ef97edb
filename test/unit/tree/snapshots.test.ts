import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { S_IFLNK } from '../../../src/lib/file-mode.js';
import { errnoOf, makeRig, OTHER, ROOT, settledValue, USER } from '../fixtures/simulated-kernel.js';

const BLOCK = 32 * 1024;

t.test('.snapshots of every directory shows that directory as it was', (t) => {
  const { kernel, save, close } = makeRig();
  kernel.mkdir('d');
  kernel.create('d/f', 'one');
  kernel.link('d/f', 'd/g');
  save('s1');
  kernel.writeTo(kernel.walk('d/f'), 'two');
  kernel.mkdir('d/later');
  kernel.rename('d', 'e');
  save('s2');
  kernel.unlink('e/f');

  t.strictSame(kernel.list('.snapshots'), ['latest', 's1', 's2']);
  t.equal(kernel.readFile('.snapshots/s1/d/f'), 'one');
  t.equal(kernel.readFile('e/.snapshots/s1/f'), 'one', 'under its new name too');
  t.equal(kernel.readFile('e/.snapshots/s2/f'), 'two');
  t.strictSame(kernel.list('e/later/.snapshots', true), ['latest', 's2']);
  t.equal(
    errnoOf(() => kernel.stat('e/later/.snapshots/s1')),
    'ENOENT',
  );
  t.equal(
    errnoOf(() => kernel.stat('.snapshots/s1/e')),
    'ENOENT',
  );
  t.equal(
    errnoOf(() => kernel.stat('.snapshots/s1/.snapshots')),
    'ENOENT',
  );
  t.equal(kernel.readlink('.snapshots/latest'), 's2');
  t.strictSame(kernel.list('.snapshots/s1/d', true), ['f', 'g']);

  const then = kernel.stat('.snapshots/s1/d/f');
  t.equal(then.inoHigh >>> 31, 1, 'another inode number than any live one');
  t.strictSame(
    [then.inoHigh, then.inoLow],
    [kernel.stat('.snapshots/s1/d/g').inoHigh, kernel.stat('e/.snapshots/s1/g').inoLow],
    'hard links agree',
  );
  t.not(
    kernel.walk('.snapshots/s1/d'),
    kernel.walk('e/.snapshots/s1'),
    'one node for each way to a directory',
  );
  close();
  t.end();
});

t.test('latest is a new node for each target', (t) => {
  const { kernel, save, close } = makeRig();
  t.equal(
    errnoOf(() => kernel.stat('.snapshots/latest')),
    'ENOENT',
  );
  save('a');
  const first = kernel.open('.snapshots/latest');
  t.equal(kernel.stat('.snapshots/latest').mode, S_IFLNK | 0o777);
  t.equal(kernel.readlink('.snapshots/latest'), 'a');
  save('b');
  t.equal(kernel.readlink('.snapshots/latest'), 'b');
  t.not(kernel.walk('.snapshots/latest'), first);
  t.equal(
    errnoOf(() => kernel.mkdir('.snapshots/latest')),
    'EEXIST',
  );
  t.equal(
    errnoOf(() => kernel.unlink('.snapshots/latest')),
    'EPERM',
  );
  kernel.close(first);
  close();
  t.end();
});

t.test('mkdir saves, rmdir deletes, mv renames', (t) => {
  const { kernel, tree, volume, close } = makeRig();
  kernel.mkdir('d');
  kernel.create('d/f', 'one');
  kernel.mkdir('d/.snapshots/s1');
  t.equal(volume.snapshot('s1')?.kind, 'user');
  t.equal(kernel.readFile('.snapshots/s1/d/f'), 'one');
  const mtime = (): string => {
    const { mtimeS, mtimeNs } = kernel.stat('.snapshots');
    return `${mtimeS}.${mtimeNs}`;
  };
  const before = mtime();
  kernel.rename('.snapshots/s1', '.snapshots/s2');
  t.not(mtime(), before, 'so that a cached listing is seen to be old');
  t.equal(
    errnoOf(() => kernel.stat('.snapshots/s1')),
    'ENOENT',
  );
  t.equal(kernel.readFile('d/.snapshots/s2/f'), 'one');
  t.equal(
    errnoOf(() => kernel.mkdir('.snapshots/s2')),
    'EEXIST',
  );
  kernel.mkdir('.snapshots/s3');
  t.equal(
    errnoOf(() => kernel.rename('.snapshots/s3', '.snapshots/s2')),
    'EEXIST',
  );
  t.equal(
    errnoOf(() => kernel.rename('.snapshots/s3', '.snapshots/s4', 2)),
    'EINVAL',
  );
  t.equal(
    errnoOf(() => kernel.rename('.snapshots/s3', 'd/.snapshots/s4')),
    'EXDEV',
  );
  t.equal(
    errnoOf(() => kernel.rename('.snapshots/s3', 's4')),
    'EXDEV',
  );
  t.equal(
    errnoOf(() => kernel.rename('d', '.snapshots/s4')),
    'EPERM',
  );
  t.equal(
    errnoOf(() => kernel.mkdir('.snapshots/\xff')),
    'EINVAL',
  );

  const open = kernel.open('.snapshots/s2/d/f');
  kernel.rmdir('.snapshots/s2');
  t.equal(
    errnoOf(() => kernel.stat('.snapshots/s2')),
    'ENOENT',
  );
  t.equal(
    errnoOf(() => tree.getattr(USER, open)),
    'ESTALE',
  );
  t.equal(
    errnoOf(() => tree.read(USER, open, 0, 0, 1, Buffer.alloc(1), 0)),
    'ESTALE',
  );
  t.equal(
    errnoOf(() => kernel.rmdir('.snapshots/s2')),
    'ENOENT',
  );

  kernel.caller = OTHER;
  t.equal(
    errnoOf(() => kernel.mkdir('.snapshots/x')),
    'EPERM',
  );
  t.equal(
    errnoOf(() => kernel.rmdir('.snapshots/s3')),
    'EPERM',
  );
  t.equal(
    errnoOf(() => kernel.rename('.snapshots/s3', '.snapshots/x')),
    'EPERM',
  );
  kernel.caller = ROOT;
  kernel.rmdir('.snapshots/s3');
  close();
  t.end();
});

t.test("a snapshot can't be changed", (t) => {
  const { kernel, tree, save, close } = makeRig();
  kernel.mkdir('d');
  kernel.create('d/f', 'one');
  save('s');
  const directory = kernel.walk('.snapshots/s/d');
  const file = kernel.walk('.snapshots/s/d/f');
  const refused: [string, () => unknown][] = [
    ['create', () => tree.create(USER, directory, 'x', 0o644)],
    ['mkdir', () => tree.mkdir(USER, directory, 'x', 0o755)],
    ['mknod', () => tree.mknod(USER, directory, 'x', 0o10644, 0)],
    ['symlink', () => tree.symlink(USER, directory, 'x', 'y')],
    ['unlink', () => tree.unlink(USER, directory, 'f')],
    ['rmdir', () => tree.rmdir(USER, directory, 'f')],
    ['rename', () => tree.rename(USER, directory, 'f', 1, 'g', 0)],
    ['rename into', () => tree.rename(USER, 1, 'd', directory, 'g', 0)],
    ['setattr', () => tree.setattr(USER, file, { size: 0 })],
    ['setxattr', () => tree.setxattr(USER, file, 'user.a', Buffer.from('1'), 0)],
    ['removexattr', () => tree.removexattr(USER, file, 'security.capability')],
    ['fallocate', () => tree.fallocate(USER, file, 0, 0, 1, 0)],
    ['write', () => tree.write(USER, file, 0, 0, Buffer.from('x'), false)],
    ['copy', () => tree.copyFileRange(USER, file, 0, file, 0, 1)],
  ];
  for (const [what, action] of refused) t.equal(errnoOf(action), 'EROFS', what);
  t.equal(
    errnoOf(() => tree.link(USER, file, 1, 'x')),
    'EXDEV',
  );
  t.equal(
    errnoOf(() => tree.copyFileRange(USER, file, 0, kernel.walk('d/f'), 0, 1)),
    'EXDEV',
    'the caller reads and writes instead',
  );
  t.strictSame(
    kernel.notified.at(-1),
    { kind: 'inval-inode', node: file, offset: 0, length: 0 },
    'pages that could not be stored are dropped',
  );
  t.equal(tree.getxattr(USER, file, 'security.capability').length, 20);
  t.strictSame(tree.listxattr(USER, file), []);
  t.equal(
    errnoOf(() => tree.getxattr(USER, directory, 'security.capability')),
    'ENODATA',
  );
  t.equal(kernel.readFile('.snapshots/s/d/f'), 'one');
  close();
  t.end();
});

t.test('user.shadowfs.*: where the blocks of a shadow inode are addressed (Fig 10)', (t) => {
  const { kernel, save, restore, close } = makeRig();
  const f = kernel.create('f');
  const write = (block: number, byte: string): void =>
    kernel.writeTo(f, byte.repeat(BLOCK), block * BLOCK);
  for (let block = 0; block < 4; block++) write(block, 'a');
  save('s1');
  write(0, 'b');
  save('s2');
  write(1, 'c');
  save('s3');
  write(2, 'd');
  const runs = (name: string): string =>
    kernel.getxattr(`.snapshots/${name}/f`, 'user.shadowfs.runs');
  t.equal(kernel.getxattr('.snapshots/s1/f', 'user.shadowfs.snapshot'), 's1');
  t.match(kernel.getxattr('.snapshots/s1/f', 'user.shadowfs.layer'), /^\d+$/);
  t.equal(
    runs('s1'),
    `0 ${BLOCK} own\n${BLOCK} ${BLOCK} preserved s2\n` +
      `${2 * BLOCK} ${BLOCK} preserved s3\n${3 * BLOCK} ${BLOCK} shared\n`,
  );
  t.equal(
    runs('s3'),
    `0 ${2 * BLOCK} shared\n${2 * BLOCK} ${BLOCK} own\n${3 * BLOCK} ${BLOCK} shared\n`,
  );
  restore('s1');
  t.equal(runs('s1'), `0 ${4 * BLOCK} shared\n`);
  t.match(runs('s2'), `0 ${BLOCK} preserved undo-`, 'on the path that was left');
  t.equal(
    errnoOf(() => kernel.getxattr('f', 'user.shadowfs.runs')),
    'ENODATA',
  );
  t.equal(
    errnoOf(() => kernel.getxattr('.snapshots/s1', 'user.shadowfs.runs')),
    'ENODATA',
  );
  close();
  t.end();
});

t.test('nodes that the kernel forgets are dropped', (t) => {
  const { kernel, tree, save, close } = makeRig();
  kernel.mkdir('d');
  for (let i = 0; i < 20; i++) kernel.create(`d/f${i}`);
  save('s');
  kernel.snapshotOf('.snapshots/s', true);
  kernel.snapshotOf('d/.snapshots/s', true);
  kernel.readlink('.snapshots/latest');
  t.ok(tree.status().special > 40);
  kernel.forgetAll();
  t.strictSame(tree.status(), { live: 0, special: 0 });
  t.equal(kernel.list('.snapshots/s/d', true).length, 20);
  close();
  t.end();
});

t.test('a command that fails later fails the request', (t) => {
  const { kernel, tree, close } = makeRig();
  const snapshots = kernel.walk('.snapshots');
  const made = tree.mkdir(USER, snapshots, 'bad\u0001name', 0o755);
  t.ok('settled' in made);
  if ('settled' in made)
    t.equal(
      errnoOf(() => settledValue(made)),
      'EINVAL',
    );
  close();
  t.end();
});

t.test('the path of a base file is kept while the kernel knows the file', (t) => {
  const base = mkdtempSync(join(tmpdir(), 'paths-'));
  t.teardown(() => rmSync(base, { recursive: true }));
  mkdirSync(join(base, 'd'));
  for (let n = 0; n < 50; n++) writeFileSync(join(base, 'd', `f${n}`), `content ${n}`);
  const { kernel, volume, save, close } = makeRig({ base });
  const known = (): number => volume.core.basePaths.size;
  save('s');
  for (let n = 0; n < 50; n++) kernel.readFile(`d/f${n}`);
  t.equal(known(), 51);
  for (let n = 0; n < 50; n++) kernel.readFile(`.snapshots/s/d/f${n}`);
  const live = kernel.walk('d/f7');
  const shadow = kernel.walk('.snapshots/s/d/f7');
  kernel.forget(live);
  t.equal(known(), 51, 'the shadow inode still needs it');
  t.equal(kernel.getattr(shadow).size, 9);
  kernel.forget(shadow);
  t.equal(known(), 50);
  t.equal(kernel.readFile('d/f7'), 'content 7', 'it can be looked up again');
  kernel.forgetAll();
  t.equal(known(), 0);
  t.equal(kernel.readFile('.snapshots/s/d/f9'), 'content 9');
  close();
  t.end();
});

t.test(
  'a directory of the base that was renamed and forgotten still has all its snapshots',
  (t) => {
    const base = mkdtempSync(join(tmpdir(), 'paths-'));
    t.teardown(() => rmSync(base, { recursive: true }));
    mkdirSync(join(base, 'd'));
    writeFileSync(join(base, 'd', 'f'), 'content');
    const { kernel, save, restore, close } = makeRig({ base });
    save('one');
    kernel.rename('d', 'e');
    kernel.writeTo(kernel.walk('e/f'), 'changed');
    save('two');
    kernel.forgetAll();
    t.strictSame(kernel.list('e/.snapshots'), ['latest', 'one', 'two']);
    t.equal(kernel.readFile('e/.snapshots/one/f'), 'content');
    kernel.forgetAll();
    t.equal(kernel.readFile('e/f'), 'changed');
    restore('one');
    t.equal(kernel.readFile('d/f'), 'content');
    close();
    t.end();
  },
);
