/** Rules D9, D10 and D15 for the base: what is read, and what is noticed. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { isNearFileSystem, isPlainFileSystem } from '../../../src/base/base-file-system.js';
import { CommandError, FsError, BaseReadBlocks } from '../../../src/lib/errors.js';
import { WaitPolicy } from '../../../src/lib/wait-policy.js';
import { nameHash } from '../../../src/format/records/name-hash.js';
import { ALLOCATOR, inodeNumber, ROOT_INODE } from '../../../src/format/records/tables.js';
import { BaseDirectory } from '../../../src/base/base-directory.js';
import { FILES_MAX, LENT_MS, MISMATCHES_MAX, RETIRED_MAX } from '../../../src/base/base-files.js';
import { HANDLE_AGE_MS, HANDLES_MAX } from '../../../src/base/base-handles.js';
import { type BaseStat, hostInodeOf, referenceTo } from '../../../src/base/base-stat.js';
import type { BaseReference } from '../../../src/base/base-reference.js';
import { asRoot, isRoot } from '../../as-root.js';

type Test = Pick<typeof t, 'teardown'>;

/** A base in a directory of its own, with a clock that the test moves. */
class Fixture {
  readonly path = fs.mkdtempSync(join(tmpdir(), 'shadowfs-base-'));
  aheadMs = 0;
  #base: BaseDirectory | undefined;

  constructor(t: Test) {
    t.teardown(() => {
      this.#base?.close();
      // Not fs.rm: it can't remove paths longer than the kernel takes.
      execFileSync('rm', ['-rf', this.path]);
    });
  }

  get base(): BaseDirectory {
    this.#base ??= BaseDirectory.open(this.path, () => Date.now() + this.aheadMs);
    return this.#base;
  }

  write(path: string, text: string | Buffer): void {
    fs.writeFileSync(join(this.path, path), text);
  }

  reference(path: string): BaseReference {
    return referenceTo(path, this.base.lstat(path) as BaseStat);
  }

  text(ref: BaseReference): string {
    const out = Buffer.alloc(ref.size + 10);
    return out.toString('latin1', 0, this.base.read(ref, 0, out.length, out, 0, new WaitPolicy()));
  }
}

function code(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof FsError || error instanceof CommandError) return error.code;
    throw error;
  }
  return 'no error';
}

/** A later time than any before: an in-place change must show in ctime. */
function waitTick(): void {
  spawnSync('sleep', ['0.02']);
}

t.test('a base that cannot be opened', (t) => {
  const fixture = new Fixture(t);
  fixture.write('file', 'x');
  t.equal(
    code(() => BaseDirectory.open(join(fixture.path, 'none'))),
    'base-missing',
  );
  t.equal(
    code(() => BaseDirectory.open(join(fixture.path, 'file'))),
    'base-not-directory',
  );
  t.equal(
    code(() => BaseDirectory.open(join(fixture.path, 'file/x'))),
    'base-not-directory',
  );
  t.equal(
    code(() => BaseDirectory.open('x'.repeat(5000))),
    'base-unreadable',
  );
  t.end();
});

t.test('attributes are the host’s', (t) => {
  const fixture = new Fixture(t);
  fixture.write('file', 'hello');
  fs.chmodSync(join(fixture.path, 'file'), 0o4751);
  fs.utimesSync(join(fixture.path, 'file'), -5.25, 1234567890.123456);
  fs.mkdirSync(join(fixture.path, 'd'));
  fs.symlinkSync('/etc/passwd', join(fixture.path, 'd/link'));
  for (const path of ['', 'file', 'd', 'd/link']) {
    const host = fs.lstatSync(join(fixture.path, path), { bigint: true });
    const stat = fixture.base.lstat(path) as BaseStat;
    t.ok(stat, path);
    t.same(
      [stat.hostInode, stat.mode, stat.uid, stat.gid, stat.nlink, stat.size, stat.blocks],
      [host.ino, host.mode, host.uid, host.gid, host.nlink, host.size, host.blocks].map(Number),
    );
    for (const time of ['atime', 'mtime', 'ctime'] as const) {
      const ns = BigInt(stat[`${time}S`]) * 1_000_000_000n + BigInt(stat[`${time}Ns`]);
      t.equal(ns, host[`${time}Ns`], time);
    }
  }
  t.equal(fixture.base.readlink('d/link'), '/etc/passwd');
  t.equal(
    code(() => fixture.base.readlink('file')),
    'EINVAL',
  );
  t.equal(
    code(() => fixture.base.readlink('none')),
    'ENOENT',
  );
  t.same(fixture.base.rootStat.hostInode, fs.statSync(fixture.path).ino);
  t.end();
});

t.test('D9: no path leaves the base', (t) => {
  const fixture = new Fixture(t);
  fs.mkdirSync(join(fixture.path, 'd'));
  fixture.write('d/inside', 'inside');
  fs.symlinkSync('/etc', join(fixture.path, 'etc'));
  fs.symlinkSync('/etc/passwd', join(fixture.path, 'passwd'));
  fs.symlinkSync('..', join(fixture.path, 'd/up'));
  fs.symlinkSync('d', join(fixture.path, 'same'));
  fs.symlinkSync('/proc/self/root', join(fixture.path, 'magic'));
  const { base } = fixture;
  const outside = [
    ...['.', '..', '../x', 'd/..', 'd/../..', 'd/../../etc', 'd/.', 'd/', '/', 'd//x'],
    ...['etc/passwd', 'd/up/d', 'same/inside', 'magic/etc', 'd/inside/x', 'a\0b', 'd/a\0'],
  ];
  for (const path of outside) {
    t.equal(base.lstat(path), undefined, `lstat ${path.replaceAll('\0', '0')}`);
  }
  for (const path of ['..', 'etc', 'd/up', 'same', 'magic', 'passwd', 'd/inside', 'none', '/etc']) {
    const answer = code(() => base.list(path));
    t.match(answer, /EIO|EXDEV/, `list ${path}`);
  }
  const ref = fixture.reference('d/inside');
  for (const path of [
    'passwd',
    'same/inside',
    '../d/inside',
    '..',
    '',
    'd',
    'd/inside/',
    '/etc/passwd',
  ]) {
    t.equal(
      code(() => fixture.text({ ...ref, path })),
      'EIO',
      `read ${path}`,
    );
  }
  // Even with the identity of the target, a symlink is not followed.
  const target = fs.statSync('/etc/passwd');
  t.equal(
    code(() => fixture.text({ ...ref, path: 'passwd', hostInode: target.ino, size: target.size })),
    'EIO',
  );
  t.equal(fixture.text(ref), 'inside');
  t.end();
});

t.test('reading', (t) => {
  const fixture = new Fixture(t);
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 31) & 255));
  fixture.write('file', bytes);
  fixture.write('empty', '');
  const ref = fixture.reference('file');
  for (const mode of ['wait', 'yield'] as const) {
    for (const [offset, length] of [
      [0, 100_000],
      [1, 5],
      [99_990, 100],
      [100_000, 10],
      [200_000, 10],
      [4096, 0],
    ] as const) {
      const out = Buffer.alloc(length + 7, 0xee);
      const count = fixture.base.read(ref, offset, length, out, 3, new WaitPolicy(mode));
      const expected = bytes.subarray(offset, offset + length);
      t.equal(count, expected.length, `${offset}+${length}`);
      t.ok(out.subarray(3, 3 + count).equals(expected));
      t.ok(out.subarray(0, 3).every((b) => b === 0xee));
      t.ok(
        out.subarray(3 + count).every((b) => b === 0xee),
        'nothing behind the count',
      );
    }
  }
  t.equal(fixture.text(fixture.reference('empty')), '');
  t.throws(() => fixture.base.read(ref, 0, 100, Buffer.alloc(50), 0, new WaitPolicy()), /fit/);
  t.same(fixture.base.mismatches, []);
  t.end();
});

asRoot(t, 'a file that is not in the page cache', (t) => {
  const fixture = new Fixture(t);
  const size = 4 << 20;
  fixture.write('cold', Buffer.alloc(size, 7));
  const ref = fixture.reference('cold');
  execFileSync(
    'dd',
    [`of=${join(fixture.path, 'cold')}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'],
    {
      stdio: 'ignore',
    },
  );
  const out = Buffer.alloc(size);
  const waits = new WaitPolicy('yield');
  waits.othersWait = () => true;
  try {
    fixture.base.read(ref, 0, size, out, 0, waits);
    t.comment('the page cache kept the file: nothing to see here');
  } catch (error) {
    if (!(error instanceof BaseReadBlocks)) throw error;
    t.equal(error.offset + error.length, size);
    t.equal(
      fs.readSync(error.fd, Buffer.alloc(1), 0, 1, error.offset),
      1,
      'the descriptor is open',
    );
    // Pushed out of the cache of descriptors, it stays open while it may be in use.
    for (let i = 0; i <= FILES_MAX; i++) {
      fixture.write(`f${i}`, 'x');
      fixture.text(fixture.reference(`f${i}`));
    }
    const host = fs.fstatSync(error.fd);
    t.equal(host.ino, ref.hostInode, 'still the same file');
    fixture.aheadMs += LENT_MS;
    fixture.write('last', 'x');
    fixture.text(fixture.reference('last'));
    t.throws(() => fs.fstatSync(error.fd), { code: 'EBADF' }, 'closed later');
  }
  waits.patiently(() => t.equal(fixture.base.read(ref, 0, size, out, 0, waits), size));
  t.end();
});

t.test('a cold read from a local disk waits when no other request does', (t) => {
  t.ok(isNearFileSystem(0xef53) && isNearFileSystem(0x9123683e));
  t.notOk(isNearFileSystem(0x6969) || isNearFileSystem(0x65735546), 'not from NFS, not from FUSE');
  t.notOk(isPlainFileSystem(0x9123683e));
  const fixture = new Fixture(t);
  const size = 4 << 20;
  fixture.write('cold', Buffer.alloc(size, 7));
  const of = `of=${join(fixture.path, 'cold')}`;
  const dd = [of, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'];
  execFileSync('dd', dd, { stdio: 'ignore' });
  const type = fs.statfsSync(fixture.path).type;
  const waits = new WaitPolicy('yield');
  const out = Buffer.alloc(size);
  if (isNearFileSystem(type)) {
    t.equal(fixture.base.read(fixture.reference('cold'), 0, size, out, 0, waits), size);
    t.ok(out.equals(Buffer.alloc(size, 7)));
  } else t.comment(`the temporary directory is on a file system of type ${type}`);
  t.end();
});

t.test('D10: a file that changed underneath is EIO, and noted', (t) => {
  const changes: Record<string, (fixture: Fixture, path: string) => void> = {
    replaced: (fixture, path) => {
      fixture.write('new', 'NEW!!');
      fs.renameSync(join(fixture.path, 'new'), path);
    },
    rewritten: (_fixture, path) => fs.writeFileSync(path, 'other'),
    truncated: (_fixture, path) => fs.truncateSync(path, 2),
    grown: (_fixture, path) => fs.appendFileSync(path, 'more'),
    'changed, with the times put back': (_fixture, path) => {
      const { atime, mtime } = fs.statSync(path);
      fs.writeFileSync(path, 'other');
      fs.utimesSync(path, atime, mtime);
    },
    removed: (_fixture, path) => fs.rmSync(path),
    'a directory now': (_fixture, path) => {
      fs.rmSync(path);
      fs.mkdirSync(path);
    },
    'a symlink now': (fixture, path) => {
      fs.renameSync(path, join(fixture.path, 'elsewhere'));
      fs.symlinkSync('../elsewhere', path);
    },
    'a FIFO now': (_fixture, path) => {
      fs.rmSync(path);
      execFileSync('mkfifo', [path]);
    },
  };
  for (const [what, change] of Object.entries(changes)) {
    for (const opened of [true, false]) {
      t.test(`${what}, ${opened ? 'open before' : 'not open'}`, (t) => {
        const fixture = new Fixture(t);
        fs.mkdirSync(join(fixture.path, 'd'));
        fixture.write('d/file', 'first');
        const ref = fixture.reference('d/file');
        if (opened) t.equal(fixture.text(ref), 'first');
        waitTick();
        change(fixture, join(fixture.path, 'd/file'));
        t.equal(
          code(() => fixture.text(ref)),
          'EIO',
        );
        t.equal(
          code(() => fixture.text(ref)),
          'EIO',
          'and again',
        );
        t.equal(fixture.base.mismatches.length, 1);
        const [mismatch] = fixture.base.mismatches;
        t.equal(mismatch?.path, 'd/file');
        t.same(mismatch?.expected, ref);
        t.notSame(mismatch?.found, ref);
        t.ok(Math.abs((mismatch?.timeMs ?? 0) - Date.now()) < 60_000);
        t.equal(fixture.base.mismatchCount, 2);
        const now = fixture.base.lstat('d/file');
        if (now !== undefined && (now.mode & 0o170000) === 0o100000) {
          const text = fs.readFileSync(join(fixture.path, 'd/file'), 'latin1');
          t.equal(fixture.text(referenceTo('d/file', now)), text, 'a new reference is good');
        }
        t.end();
      });
    }
  }
  t.test('the list of mismatches is bounded', (t) => {
    const fixture = new Fixture(t);
    fixture.write('file', 'first');
    const ref = fixture.reference('file');
    for (let i = 0; i < MISMATCHES_MAX + 50; i++) {
      t.equal(
        code(() => fixture.text({ ...ref, path: `none-${i}` })),
        'EIO',
      );
    }
    t.equal(fixture.base.mismatches.length, MISMATCHES_MAX);
    t.equal(fixture.base.mismatchCount, MISMATCHES_MAX + 50);
    t.equal(fixture.base.mismatches.at(-1)?.path, `none-${MISMATCHES_MAX + 49}`);
    t.equal(fixture.base.mismatches[0]?.found, undefined);
    t.end();
  });
  t.end();
});

t.test('a directory that was renamed or replaced underneath', (t) => {
  const fixture = new Fixture(t);
  fs.mkdirSync(join(fixture.path, 'a/b'), { recursive: true });
  fixture.write('a/b/file', 'old');
  const ref = fixture.reference('a/b/file');
  t.equal(fixture.text(ref), 'old');
  t.same(
    fixture.base.list('a/b').map((entry) => entry.name),
    ['file'],
  );
  fs.renameSync(join(fixture.path, 'a'), join(fixture.path, 'moved'));
  fs.mkdirSync(join(fixture.path, 'a/b'), { recursive: true });
  fixture.write('a/b/file', 'new bytes');
  fixture.write('a/b/more', '');
  const early = fixture.base.lstat('a/b/file') as BaseStat;
  t.ok(early.size === 3 || early.size === 9, 'one of the two');
  fixture.aheadMs += HANDLE_AGE_MS;
  t.equal(fixture.base.lstat('a/b/file')?.size, 9, 'the new one after a second at most');
  t.same(
    fixture.base
      .list('a/b')
      .map((entry) => entry.name)
      .sort(),
    ['file', 'more'],
  );
  t.equal(fixture.text(fixture.reference('a/b/file')), 'new bytes');
  t.equal(
    code(() => fixture.text(ref)),
    'EIO',
  );
  fs.rmSync(join(fixture.path, 'a'), { recursive: true });
  fixture.aheadMs += HANDLE_AGE_MS;
  t.equal(fixture.base.lstat('a/b/file'), undefined);
  t.equal(
    code(() => fixture.base.list('a/b')),
    'EIO',
  );
  t.ok(fixture.base.mismatches.some(({ path, found }) => path === 'a/b' && found === undefined));
  fs.rmSync(fixture.path, { recursive: true });
  fixture.aheadMs += HANDLE_AGE_MS;
  t.equal(fixture.base.lstat('moved'), undefined, 'the base itself is gone');
  t.ok(fixture.base.lstat(''));
  t.equal(
    code(() => fixture.base.list('')),
    'EIO',
  );
  t.end();
});

t.test('D15: listings are in hash order and follow changes', (t) => {
  const fixture = new Fixture(t);
  for (let i = 0; i < 300; i++) fixture.write(`n${i}`, '');
  fs.mkdirSync(join(fixture.path, 'dir'));
  fs.symlinkSync('x', join(fixture.path, 'link'));
  const names = fixture.base.list('');
  t.equal(fixture.base.list(''), names, 'not read twice');
  t.equal(names.length, 302);
  for (const [i, entry] of names.entries()) {
    const before = names[i - 1];
    t.equal(entry.hash, nameHash(entry.name));
    if (before !== undefined && before.hash >= entry.hash) t.fail('out of order');
    if (entry.hostInode !== 0) {
      t.equal(entry.hostInode, fixture.base.lstat(entry.name)?.hostInode);
    }
  }
  t.equal(names.find((entry) => entry.name === 'dir')?.type, 4);
  t.equal(names.find((entry) => entry.name === 'link')?.type, 10);
  t.equal(names.find((entry) => entry.name === 'n1')?.type, 8);

  fixture.aheadMs += 200;
  const settled = fixture.base.list('');
  fixture.aheadMs += 5000;
  t.equal(fixture.base.list(''), settled, 'a directory at rest is kept');
  fs.rmSync(join(fixture.path, 'n7'));
  fixture.aheadMs += 200;
  t.equal(fixture.base.list('').length, 301, 'a removed name goes');
  t.equal(settled.length, 302, 'a listing in use stays as it is');
  t.equal(fixture.base.usage.listedNames, 301);
  t.end();
});

t.test('names are bytes', (t) => {
  const fixture = new Fixture(t);
  const names = [
    '\xff\xfe',
    'gr\xc3\xb6\xc3\x9fe',
    'gr\xf6\xdfe',
    ' ',
    '\n',
    '\\',
    '\x01',
    'x'.repeat(255),
  ];
  names.push('...', '-', '\xe2\x80');
  const root = Buffer.from(`${fixture.path}/`);
  for (const name of names) {
    const bytes = Buffer.concat([root, Buffer.from(name, 'latin1')]);
    fs.mkdirSync(bytes);
    fs.writeFileSync(Buffer.concat([bytes, Buffer.from(`/${name}`, 'latin1')]), name, 'latin1');
  }
  t.same(
    fixture.base
      .list('')
      .map((entry) => entry.name)
      .sort(),
    [...names].sort(),
  );
  for (const name of names) {
    t.equal(fixture.base.list(name)[0]?.name, name);
    t.equal(fixture.text(fixture.reference(`${name}/${name}`)), name);
  }
  t.equal(
    code(() => fixture.base.lstat('x'.repeat(256))),
    'ENAMETOOLONG',
  );
  const bytes = '\xff -> \x80';
  fs.symlinkSync(Buffer.from(bytes, 'latin1'), join(fixture.path, 'link'));
  t.equal(fixture.base.readlink('link'), bytes);
  t.end();
});

t.test('a tree deeper than the kernel accepts in one path', (t) => {
  const fixture = new Fixture(t);
  const name = 'd'.repeat(200);
  const script =
    'import os,sys\nos.chdir(sys.argv[1])\nfor i in range(50):\n os.mkdir(sys.argv[2]); os.chdir(sys.argv[2])\nopen("file","w").write("deep")';
  execFileSync('python3', ['-c', script, fixture.path, name]);
  const path = Array(50).fill(name).join('/');
  t.ok(path.length > 8000);
  t.equal(fixture.text(fixture.reference(`${path}/file`)), 'deep');
  t.same(
    fixture.base.list(path).map((entry) => entry.name),
    ['file'],
  );
  t.equal(fixture.base.lstat(`${path}/none`), undefined);
  t.end();
});

t.test('FIFOs and devices are shown and never opened', (t) => {
  const fixture = new Fixture(t);
  execFileSync('mkfifo', [join(fixture.path, 'fifo')]);
  const special = ['fifo'];
  if (isRoot) {
    execFileSync('mknod', [join(fixture.path, 'zero'), 'c', '1', '5']);
    special.push('zero');
    const stat = fixture.base.lstat('zero') as BaseStat;
    t.equal(stat.rdev, fs.lstatSync(join(fixture.path, 'zero')).rdev);
    t.equal(stat.mode >> 12, 2);
  }
  for (const path of special) {
    t.equal(
      code(() => fixture.text({ ...fixture.reference(path), size: 10 })),
      'EIO',
    );
    t.equal(
      code(() => fixture.text(fixture.reference(path))),
      'EIO',
    );
    t.equal(
      code(() => fixture.base.list(path)),
      'EIO',
    );
  }
  t.end();
});

t.test('extended attributes', (t) => {
  const fixture = new Fixture(t);
  fixture.write('file', '');
  fs.symlinkSync('file', join(fixture.path, 'link'));
  fs.mkdirSync(join(fixture.path, 'd'));
  t.same(fixture.base.listxattr('file'), []);
  t.equal(fixture.base.getxattr('file', 'user.none'), undefined);
  const script = 'import os,sys\nfor p in sys.argv[1:]: os.setxattr(p,"user.name",b"a\\0\\xff")';
  const paths = ['', 'file', 'd'];
  const made = spawnSync('python3', [
    '-c',
    script,
    ...paths.map((path) => join(fixture.path, path)),
  ]);
  if (made.status === 0) {
    for (const path of paths) {
      t.same(fixture.base.listxattr(path), ['user.name']);
      t.same(
        Buffer.from(fixture.base.getxattr(path, 'user.name') ?? []),
        Buffer.from('a\0\xff', 'latin1'),
      );
    }
  } else t.comment('no user attributes on this file system');
  t.same(fixture.base.listxattr('link'), [], 'the link’s own, not the file’s');
  t.equal(
    code(() => fixture.base.listxattr('none')),
    'ENOENT',
  );
  t.end();
});

t.test('D10: inode numbers are derived', (t) => {
  const fixture = new Fixture(t);
  fixture.write('file', '');
  fs.linkSync(join(fixture.path, 'file'), join(fixture.path, 'hard'));
  const { base } = fixture;
  const { device } = base.rootStat;
  t.equal(base.inodeNumber(base.rootStat), ROOT_INODE);
  const stat = base.lstat('file') as BaseStat;
  t.equal(base.inodeNumber(stat), inodeNumber(ALLOCATOR.base, stat.hostInode));
  t.equal(base.inodeNumber(base.lstat('hard') as BaseStat), base.inodeNumber(stat));
  t.equal(base.inodeNumber({ device: device + 1, hostInode: stat.hostInode }), undefined);
  t.equal(base.inodeNumber({ device, hostInode: 2 ** 40 }), undefined);
  t.equal(base.inodeNumber({ device, hostInode: 0 }), undefined);
  t.equal(hostInodeOf(5, 7), 5 * 2 ** 32 + 7);
  const mixed = new Set<number>();
  for (let i = 0; i < 20_000; i++) mixed.add(hostInodeOf(0x80000000, i));
  for (let i = 0; i < 20_000; i++) mixed.add(hostInodeOf(0xfff00000 + i, 77));
  t.equal(mixed.size, 40_000, 'neighbours with high bits stay apart');
  t.ok([...mixed].every((number) => number >= 2 ** 52 && number < 2 ** 53));
  t.end();
});

t.test('descriptors and memory are bounded', (t) => {
  const fixture = new Fixture(t);
  for (let i = 0; i < 400; i++) {
    fs.mkdirSync(join(fixture.path, `d${i}`));
    fixture.write(`d${i}/file`, `${i}`);
  }
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 400; i++) {
      t.equal(fixture.text(fixture.reference(`d${i}/file`)), `${i}`);
      fixture.base.list(`d${i}`);
    }
  }
  const used = fs.readdirSync('/proc/self/fd').length - before;
  t.equal(used, fixture.base.usage.descriptors, 'all are counted');
  t.equal(used, 1 + HANDLES_MAX + FILES_MAX);
  t.ok(used + RETIRED_MAX + FILES_MAX < 600);
  fixture.base.close();
  t.equal(fs.readdirSync('/proc/self/fd').length, before, 'all are closed');
  t.end();
});

/** Runs `body` while `path` is covered by an empty file system. */
function covered(path: string, body: () => void): void {
  execFileSync('mount', ['-t', 'tmpfs', 'none', path]);
  try {
    body();
  } finally {
    execFileSync('umount', ['-l', path]);
  }
}

asRoot(t, 'a base that is mounted over', (t) => {
  const fixture = new Fixture(t);
  fs.mkdirSync(join(fixture.path, 'd'));
  fixture.write('d/file', 'covered');
  const { base } = fixture;
  covered(fixture.path, () => {
    t.same(fs.readdirSync(fixture.path), [], 'it is covered');
    t.same(
      base.list('').map((entry) => entry.name),
      ['d'],
    );
    t.equal(fixture.text(fixture.reference('d/file')), 'covered');
    t.same(base.lstat('')?.hostInode, base.rootStat.hostInode);
    t.same(base.listxattr(''), []);
  });
  t.end();
});

asRoot(t, 'a mount on a directory below the base', (t) => {
  const fixture = new Fixture(t);
  fs.mkdirSync(join(fixture.path, 'a/mnt/in'), { recursive: true });
  fixture.write('a/mnt/in/file', 'covered');
  const { base } = fixture;
  const host = base.lstat('a/mnt')?.hostInode;
  base.pin('a/mnt');
  t.equal(
    code(() => base.pin('a/none')),
    'ENOENT',
  );
  covered(join(fixture.path, 'a/mnt'), () => {
    t.equal(base.lstat('a/mnt')?.hostInode, host, 'the mount is not looked at');
    t.same(
      base.list('a/mnt').map((entry) => entry.name),
      ['in'],
    );
    t.equal(base.list('a')[0]?.hostInode, host);
    t.equal(fixture.text(fixture.reference('a/mnt/in/file')), 'covered');
    fixture.aheadMs += HANDLE_AGE_MS;
    t.equal(base.lstat('a/mnt/in/file')?.size, 7);
  });
  // Without a pin a mount is another device, whose numbers are never derived.
  covered(join(fixture.path, 'a'), () => {
    fixture.write('a/there', 'x');
    fixture.aheadMs += HANDLE_AGE_MS;
    const stat = base.lstat('a/there') as BaseStat;
    t.not(stat.device, base.rootStat.device);
    t.equal(base.inodeNumber(stat), undefined);
    t.ok(base.list('a').every((entry) => entry.hostInode === 0));
    t.equal(base.list('').find((entry) => entry.name === 'a')?.hostInode, 0);
  });
  t.end();
});

asRoot(t, 'what the host refuses', (t) => {
  const fixture = new Fixture(t);
  fs.chmodSync(fixture.path, 0o755);
  fs.mkdirSync(join(fixture.path, 'closed'));
  fixture.write('closed/file', 'x');
  fixture.write('secret', 'x');
  fixture.write('open', 'x');
  fs.chmodSync(join(fixture.path, 'closed'), 0o000);
  fs.chmodSync(join(fixture.path, 'secret'), 0o000);
  fs.mkdirSync(join(fixture.path, 'unsearchable'));
  fs.chmodSync(join(fixture.path, 'unsearchable'), 0o744);
  const { base } = fixture;
  const secret = fixture.reference('secret');
  const open = fixture.reference('open');
  process.seteuid?.(65534);
  try {
    t.equal(
      code(() => base.list('closed')),
      'EACCES',
    );
    t.equal(
      code(() => base.lstat('closed/file')),
      'EACCES',
    );
    t.equal(
      code(() => fixture.text(secret)),
      'EACCES',
    );
    t.equal(fixture.text(open), 'x', 'O_NOATIME is not for others');
    t.equal(
      code(() => BaseDirectory.open(join(fixture.path, 'closed'))),
      'base-unreadable',
    );
    t.equal(
      code(() => BaseDirectory.open(join(fixture.path, 'unsearchable'))),
      'base-unreadable',
    );
  } finally {
    process.seteuid?.(0);
  }
  t.same(base.mismatches, []);
  t.end();
});

t.test('a random tree equals what node:fs shows', (t) => {
  const fixture = new Fixture(t);
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  t.comment(`SEED=${seed}`);
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const directories = [''];
  for (let i = 0; i < 400; i++) {
    const parent = directories[random(directories.length)] as string;
    const path = parent === '' ? `n${i}` : `${parent}/n${i}`;
    const host = join(fixture.path, path);
    const kind = random(10);
    if (kind < 3) {
      fs.mkdirSync(host);
      directories.push(path);
    } else if (kind < 4) fs.symlinkSync('x'.repeat(random(200) + 1), host);
    else fs.writeFileSync(host, Buffer.alloc(random(20_000), i));
  }
  const walk = (path: string): void => {
    const host = join(fixture.path, path);
    const entries = fs.readdirSync(host, { withFileTypes: true });
    const names = fixture.base.list(path);
    t.same(names.map((entry) => entry.name).sort(), entries.map((entry) => entry.name).sort());
    for (const entry of entries) {
      const child = path === '' ? entry.name : `${path}/${entry.name}`;
      const stat = fixture.base.lstat(child) as BaseStat;
      const expected = fs.lstatSync(join(fixture.path, child));
      const listed = names.find((name) => name.name === entry.name);
      t.same([stat.mode, stat.size, stat.hostInode], [expected.mode, expected.size, expected.ino]);
      t.equal(listed?.type, expected.mode >> 12);
      if (entry.isDirectory()) walk(child);
      else if (entry.isSymbolicLink()) {
        t.equal(fixture.base.readlink(child), fs.readlinkSync(join(fixture.path, child)));
      } else {
        const bytes = fs.readFileSync(join(fixture.path, child), 'latin1');
        t.ok(fixture.text(referenceTo(child, stat)) === bytes, child);
      }
    }
  };
  walk('');
  t.same(fixture.base.mismatches, []);
  t.end();
});
