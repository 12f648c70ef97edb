/**
 * What the fuse-native driver does differently: one test for each row of
 * `native-notes/fuse-native.md`, whichever driver the other tests use.
 */
import t, { type Test } from 'tap';
import { kernelDriverRefusal } from '../../src/fuse/mount/usable.js';
import { EXCEPTIONS, type ExceptionName } from './driver-exceptions.js';
import { identities, inWorld, NOBODY, type World } from './harness.js';
import { Holder, Shell } from './puppets.js';

const as = identities()[0] ?? NOBODY;
const O_RDWR = 2;

/** In a world whose mounts are the driver's. `name`: an exception, or another row. */
function row(
  name: ExceptionName | (string & {}),
  body: (t: Test, world: World) => Promise<void>,
): void {
  const title = Object.hasOwn(EXCEPTIONS, name) ? EXCEPTIONS[name as ExceptionName] : name;
  t.test(title, (t) =>
    inWorld(t, as, async (world) => {
      world.driver = 'fuse-native';
      await world.sh('mkdir base; seq 50000 > base/big; echo one > base/f; echo same > base/same');
      await body(t, world);
    }),
  );
}

const inMount = (world: World, script: string): Promise<string> => world.sh(`cd "$MNT"\n${script}`);

row('what mount and status say', async (t, world) => {
  const answer = await world.mount(['base', 'mnt']);
  t.match(answer, { driver: 'fuse-native' });
  t.match(await world.on(['status']), { driver: 'fuse-native', driverReason: null, kernel: null });
  t.match(await world.sh('grep " $MNT " /proc/self/mountinfo'), / - fuse\.shadowfs .*base /);
});

row('auto says why it is not the kernel driver', async (t) => {
  const machine = { kernelRelease: '6.1.0-18', isRoot: false, path: ['/usr/bin', '/bin'] };
  t.equal(kernelDriverRefusal(machine), undefined);
  t.match(kernelDriverRefusal({ ...machine, path: ['/nowhere'] }), { code: 'fusermount-missing' });
  t.match(kernelDriverRefusal({ ...machine, kernelRelease: '5.3.18' }), { code: 'kernel-too-old' });
  t.match(kernelDriverRefusal({ ...machine, kernelRelease: '4.19.0' }), { code: 'kernel-too-old' });
  t.equal(kernelDriverRefusal({ ...machine, isRoot: true, path: [] }), undefined);
  if (identities().at(-1)?.uid === 0) return;
  // A machine without fusermount3: libfuse brings a way of its own.
  await inWorld(t, identities().at(-1) ?? NOBODY, async (user) => {
    user.driver = 'auto';
    await user.sh(
      'mkdir bin; for c in node env bash setpriv; do ln -s "$(command -v $c)" bin/; done',
    );
    const ran = await user.tryShadowfs(['mount', '--no-base', 'mnt'], {
      env: { PATH: user.path('bin') },
    });
    t.equal(ran.status, 0, ran.err);
    t.match(ran.err, /the kernel driver can't be used \(fusermount3 is missing.*fuse-native/);
    t.match(await user.on(['status']), { driver: 'fuse-native', driverReason: /fusermount3/ });
  });
});

row('no-other-users', async (t, world) => {
  const refused = await world.refused([
    'mount',
    '--driver',
    'fuse-native',
    '--allow-other',
    'base',
    'mnt',
  ]);
  t.match(refused, { code: 'bad-option', message: /does not learn who makes a file/ });
  const cache = ['mount', '--driver', 'fuse-native', '-o', 'writeback=on', 'base', 'mnt'];
  t.match(await world.refused(cache), { code: 'bad-option', message: /no such cache/ });
});

row('no-old-versions', async (t, world) => {
  await world.mount(['base', 'mnt']);
  await world.on(['save', 's']);
  const holder = new Holder(world, { cwd: world.mnt });
  const shell = new Shell(world, { cwd: world.mnt });
  await inMount(world, 'echo wreck > f; sed -i s/1/2/ big; echo new > new; mkdir d; echo x > d/x');
  const f = await holder.open('f', O_RDWR);
  const big = await holder.open('big', O_RDWR);
  const fresh = await holder.open('new', O_RDWR);
  const same = await holder.open('same', O_RDWR);
  t.equal(await holder.pread(f, 0, 6), 'wreck\n');
  await world.on(['restore', 's']);
  await t.rejects(holder.pread(big, 100_000, 5), 'what is not in the page cache can not be read');
  t.equal(await inMount(world, 'cat f; cmp big ../base/big; ls'), 'one\nbig\nf\nsame\n');
  for (const fd of [f, big, fresh]) {
    await t.rejects(holder.pwrite(fd, 0, 'lost'), { message: 'ESTALE' }, 'takes no write');
    await t.rejects(holder.ftruncate(fd, 0), { message: 'ESTALE' });
    await t.rejects(holder.fsync(fd), { message: 'ESTALE' });
  }
  t.equal(await holder.size(f), 4, 'fstat asks by name');
  t.equal(await holder.pwrite(same, 0, 'SAME'), 4, 'an unchanged file goes on');
  t.equal(await shell.run('cat f; echo made > made; cat made; pwd'), `one made ${world.mnt} `);
  t.equal(await inMount(world, 'cmp big ../base/big; cat f same made'), 'one\nSAME\nmade\n');
  // With the old one still open, whoever opens the name gets the new one, each time.
  const again = await holder.open('f', O_RDWR);
  t.equal(await holder.pread(again, 0, 10), 'one\n');
  await holder.pwrite(again, 0, 'two');
  t.equal(await inMount(world, 'cat f'), 'two\n');
  await holder.end();
  await shell.end();
});

row('no-holders', async (t, world) => {
  await world.mount(['base', 'mnt']);
  await world.on(['save', 's']);
  const holder = new Holder(world, { cwd: world.mnt });
  await inMount(world, 'echo wreck > f');
  await holder.open('f', O_RDWR);
  t.same((await world.on(['restore', 's']))['holders'], []);
  await holder.end();
});

row('whole-milliseconds', async (t, world) => {
  await world.mount(['base', 'mnt']);
  const times = `
    touch -d '2001-02-03 04:05:06.789012345' f; stat -c %y f
    touch -d 1960-01-01 f; stat -c %Y f; cp -p same copy; cp --preserve=timestamps big big2
    touch -a -d 2002-02-02 same; touch -d 2003-03-03 same; touch -d 2004-04-04 copy
    python3 -c "import os; os.utime('copy', ns=(1000000000123456789, 1100000000987654321))"
    stat -c '%.9X %.9Y' copy
    touch -d @9007199254740993 copy; stat -c %Y copy | cut -c 1-12`;
  t.equal(
    (await inMount(world, times)).replace(/ [+-]\d+$/m, ''),
    '2001-02-03 04:05:06.789000000\n0\n1000000000.123000000 1100000000.987000000\n900719925474\n',
  );
});

row('both-times', async (t, world) => {
  await world.mount(['base', 'mnt']);
  const before = await inMount(world, 'stat -c "%X %Y" f');
  await inMount(world, 'touch -m -d 2001-01-01 f; touch -a -d 2001-01-01 f');
  t.equal(await inMount(world, 'stat -c "%X %Y" f'), before, 'nothing happens, and nobody is told');
});

row('utf8-names', async (t, world) => {
  await world.sh(
    "printf x > $'base/\\xff\\xfe'; printf y > $'base/\\xc3\\xa4\\xff'; mkdir base/ä; ln -s ä base/l",
  );
  await world.mount(['base', 'mnt']);
  t.equal(
    await inMount(world, 'ls -N; readlink l'),
    'big\nf\nl\nsame\nä\n\uf7c3\uf7a4\uf7ff\n\uf7ff\uf7fe\nä\n',
  );
  t.equal(await inMount(world, 'cat \uf7ff\uf7fe \uf7c3\uf7a4\uf7ff'), 'xy');
  const refused = await world.trySh('cd "$MNT"; echo x > $\'new\\xff\'');
  t.match(refused.err, /Invalid argument/, 'none can be made');
  await inMount(world, 'rm \uf7ff\uf7fe');
  t.equal(await inMount(world, 'ls | wc -l'), '6\n', 'but removed');
});

row('calls that libfuse does not know', async (t, world) => {
  await world.mount(['base', 'mnt']);
  const tried = `
import errno, os, ctypes
def attempt(call):
    try:
        call(); print('done')
    except OSError as e:
        print(errno.errorcode[e.errno])
libc = ctypes.CDLL(None, use_errno=True)
def rename2(flags):
    if libc.renameat2(-100, b'f', -100, b'same', flags) < 0:
        raise OSError(ctypes.get_errno(), '')
fd = os.open('big', os.O_RDWR)
def fallocate(mode):
    if libc.fallocate(fd, mode, ctypes.c_long(0), ctypes.c_long(4096)) < 0:
        raise OSError(ctypes.get_errno(), '')
attempt(lambda: fallocate(0)); attempt(lambda: fallocate(3))
attempt(lambda: rename2(1)); attempt(lambda: rename2(2))
attempt(lambda: os.open('.', os.O_TMPFILE | os.O_RDWR))
os.truncate('big', 1000000)
print(os.lseek(fd, 300000, os.SEEK_DATA), os.lseek(fd, 0, os.SEEK_HOLE))
attempt(lambda: os.setxattr('f', 'system.posix_acl_access', b'\\2\\0\\0\\0'))
before = os.stat('f').st_ctime_ns
attempt(lambda: os.chown('f', -1, -1))
print(os.stat('f').st_ctime_ns == before)
out = ctypes.create_string_buffer(256)
libc.statx(-100, b'f', 0, 0x800, out)
print(int.from_bytes(out[:4], 'little') & 0x800)
`;
  await world.sh(`cat > try.py <<'END'\n${tried}\nEND`);
  t.equal(
    await inMount(world, 'python3 ../try.py'),
    `ENOTSUP ENOTSUP EEXIST EINVAL ENOTSUP 300000 1000000 ENOTSUP done True 0 `.replaceAll(
      / (?!1000000)/g,
      '\n',
    ),
  );
});

row('open files without a name', async (t, world) => {
  await world.mount(['base', 'mnt']);
  const holder = new Holder(world, { cwd: world.mnt });
  await inMount(world, 'mkdir d; echo inside > d/x; echo old > target; echo new > source');
  const f = await holder.open('f', O_RDWR);
  const x = await holder.open('d/x', O_RDWR);
  const target = await holder.open('target', O_RDWR);
  await inMount(world, 'rm f; mv source target');
  t.equal(
    await inMount(world, 'ls -A; cat target'),
    'big\nd\nsame\ntarget\nnew\n',
    'no made-up names',
  );
  t.equal(await holder.pread(f, 0, 10), 'one\n');
  await holder.pwrite(f, 4, 'more');
  t.equal(await holder.size(f), 8);
  t.equal(await holder.pread(target, 0, 10), 'old\n');
  await world.on(['save', 's']);
  t.equal(await inMount(world, 'ls -A .snapshots/s'), 'big\nd\nsame\ntarget\n');
  await inMount(world, 'rm -r d');
  await t.rejects(holder.pread(x, 0, 10), { message: 'ENOENT' }, 'its directory must stay');
  await holder.end();
});

row('hard-links', async (t, world) => {
  await world.mount(['base', 'mnt']);
  await inMount(world, 'ln same linked');
  t.equal(
    await inMount(world, 'stat -c "%h %i" same linked | sort -u | wc -l'),
    '1\n',
    'one inode',
  );
  const holder = new Holder(world, { cwd: world.mnt });
  const same = await holder.open('same', O_RDWR);
  t.equal(await holder.pread(same, 0, 4), 'same');
  await inMount(world, 'printf SAME | dd of=linked conv=notrunc status=none');
  t.equal(await holder.pread(same, 0, 4), 'same', 'pages of the other name stay as they are');
  t.equal(await inMount(world, 'cat same'), 'SAME\n', 'until it is opened again');
  await holder.end();
});

row('removed-directories', async (t, world) => {
  await world.mount(['base', 'mnt']);
  const tried = `
import os
os.mkdir('d'); os.chdir('d'); fd = os.open('.', os.O_RDONLY); os.rmdir('../d')
for call in (lambda: os.fstat(fd), lambda: os.listdir(fd), lambda: os.stat('..')):
    try: print(call())
    except FileNotFoundError: print('ENOENT')
`;
  await world.sh(`cat > try.py <<'END'\n${tried}\nEND`);
  t.equal(await inMount(world, 'python3 ../try.py'), 'ENOENT\nENOENT\nENOENT\n');
});

row('replaced-names', async (t, world) => {
  await world.mount(['base', 'mnt']);
  const tried = `
import os, time
open('t', 'w').write('text'); end = time.time() + 3
if os.fork() == 0:
    while time.time() < end: open('s', 'w').write('text'); os.rename('s', 't')
    os._exit(0)
missing = read = 0
while time.time() < end and missing < 20:
    try: read += open('t').read() in ('text', '')
    except FileNotFoundError: missing += 1
os.wait(); print(read > 0, open('t').read(), sorted(os.listdir('.')), missing)
`;
  await world.sh(`cat > try.py <<'END'\n${tried}\nEND`);
  const out = await inMount(world, 'python3 ../try.py');
  t.match(out, "True text ['big', 'f', 'same', 't'] ", 'nothing else than that it may be missing');
  t.comment(`the name was missing ${out.trim().split(' ').at(-1)} times`);
});

row('unsynced-maps', async (t, world) => {
  await world.mount(['base', 'mnt']);
  const holder = new Holder(world, { cwd: world.mnt });
  const big = await holder.open('big', O_RDWR);
  await holder.mmap(big, 100_000, true);
  await holder.mwrite(big, 50_000, 'synced');
  await holder.msync(big);
  await world.on(['save', 's']);
  t.equal(
    await inMount(world, 'dd if=.snapshots/s/big bs=1 skip=50000 count=6 status=none'),
    'synced',
  );
  await holder.mwrite(big, 50_000, 'behind');
  await world.on(['restore', 's']);
  t.equal(await inMount(world, 'dd if=big bs=1 skip=50000 count=6 status=none'), 'synced');
  await holder.end();
  t.equal(await inMount(world, 'dd if=big bs=1 skip=50000 count=6 status=none'), 'synced');
});

row('attributes, space and large files', async (t, world) => {
  await world.mount(['base', 'mnt']);
  await inMount(
    world,
    `
    setfattr -n user.a -v 1 f; setfattr -n user.empty f; getfattr --only-values -n user.a f
    head -c 60000 /dev/zero | tr '\\0' x > ../value; setfattr -n user.long -v "$(cat ../value)" f
    test "$(getfattr --only-values -n user.long f | wc -c)" = 60000
    ! getfattr -n user.none f 2> /dev/null; setfattr -x user.a f; getfattr f | grep -c user
    truncate -s 3T huge; printf end | dd of=huge bs=1 seek=3000000000000 conv=notrunc status=none
    test "$(stat -c %s huge)" = $((3 << 40)); test "$(tail -c +3000000000001 huge | head -c 3)" = end
    df . | tail -n 1 | grep -q mnt`,
  );
  t.pass('as everywhere');
});
