/**
 * The libc gate against the real kernel: what it answers agrees with what
 * Node.js says, failures are -errno, names survive byte by byte.
 *
 * Unit tests import the sources (tap compiles them file by file); tests that
 * need worker threads or mounts run the built code in child processes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { ERRNO, FsError } from '../../../src/lib/errors.js';
import * as c from '../../../src/libc/constants.js';
import { readDirectory } from '../../../src/libc/directory.js';
import { recvFd, socketpair } from '../../../src/libc/fd-passing.js';
import * as libc from '../../../src/libc/libc.js';
import { fsError } from '../../../src/libc/library.js';
import { eventfd, eventfdClear, eventfdSignal, PollSet } from '../../../src/libc/poll.js';
import * as scheduling from '../../../src/libc/scheduling.js';
import { StatxBuffer, statx } from '../../../src/libc/statx.js';
import { fgetxattr, flistxattr, lgetxattr, llistxattr } from '../../../src/libc/xattrs.js';

/** The value of a call, or an `FsError` when it answered `-errno`. */
function orThrow<T>(answer: T | number, syscall: string, path = ''): Exclude<T, never> {
  if (typeof answer === 'number' && answer < 0) throw fsError(answer, syscall, path);
  return answer as Exclude<T, never>;
}

const dir = t.testdir({ file: 'hello, world', sub: { a: 'a', b: 'bb' } });
const file = path.join(dir, 'file');

/** Runs `use` with a descriptor that is closed afterwards. */
function withFd<T>(name: string, flags: number, use: (fd: number) => T): T {
  const fd = orThrow(libc.openat(c.AT_FDCWD, name, flags, 0o644), 'openat', name);
  try {
    return use(fd);
  } finally {
    libc.close(fd);
  }
}

t.test('read, write and their variants at an offset', async (t) => {
  withFd(path.join(dir, 'io'), c.O_RDWR | c.O_CREAT, (fd) => {
    t.equal(libc.write(fd, Buffer.from('0123456789'), 10), 10);
    t.equal(libc.pwrite(fd, Buffer.from('AB'), 2, 4), 2);
    const buf = Buffer.alloc(32, '.');
    t.equal(libc.readAt(fd, buf, 3, 6, 2), 6);
    t.equal(buf.toString('latin1', 0, 12), '...23AB67...');
    t.equal(libc.pread(fd, buf, 32, 8), 2, 'short at the end of the file');
    t.equal(libc.pread(fd, buf, 32, 100), 0);
    t.equal(libc.readAtNowait(fd, buf, 1, 4, 0), 4, 'just written, so in the page cache');
    t.equal(buf.toString('latin1', 1, 5), '0123');
    t.equal(libc.lseek(fd, 0, c.SEEK_SET), 0);
    t.equal(libc.read(fd, buf, 2), 2);
    t.throws(() => libc.read(fd, buf, 33), 'a length beyond the buffer never reaches the kernel');
    t.equal(libc.fdatasync(fd), 0);
    t.equal(libc.syncfs(fd), 0);
  });
  t.equal(libc.read(-1, Buffer.alloc(1), 1), -ERRNO.EBADF);
  t.equal(libc.preadNowait(-1, Buffer.alloc(1), 1, 0), -ERRNO.EBADF);
  t.equal(libc.close(-1), -ERRNO.EBADF);
});

t.test('offsets beyond 32 bits', async (t) => {
  withFd(path.join(dir, 'big'), c.O_RDWR | c.O_CREAT, (fd) => {
    const offset = 5 * 2 ** 32 + 7;
    t.equal(libc.pwrite(fd, Buffer.from('z'), 1, offset), 1);
    t.equal(libc.lseek(fd, 0, c.SEEK_DATA) > 2 ** 32, true);
    const buf = new Uint8Array(4);
    t.equal(libc.pread(fd, buf, 4, offset), 1);
    t.equal(libc.preadNowait(fd, buf, 4, offset), 1);
    const st = new StatxBuffer();
    t.equal(statx(fd, '', c.AT_EMPTY_PATH, st), 0);
    t.equal(st.size, offset + 1);
    const before = st.blocks;
    t.equal(libc.fallocate(fd, c.FALLOC_FL_KEEP_SIZE, 0, 65536), 0);
    statx(fd, '', c.AT_EMPTY_PATH, st);
    t.equal(st.blocks - before, 128);
  });
});

t.test('pipes: non-blocking, poll and event counters', async (t) => {
  const pair = orThrow(socketpair(), 'socketpair');
  const event = orThrow(eventfd(), 'eventfd');
  const set = new PollSet([pair[0], event, -1]);
  t.equal(set.wait(0), 0);
  libc.setStatusFlags(pair[0], libc.getStatusFlags(pair[0]) | c.O_NONBLOCK);
  t.equal(libc.read(pair[0], Buffer.alloc(1), 1), -ERRNO.EAGAIN);
  libc.write(pair[1], Buffer.from('!'), 1);
  t.equal(set.wait(1000), 1);
  t.same([set.ready(0), set.ready(1), set.ready(2)], [c.POLLIN, 0, 0]);
  eventfdSignal(event);
  eventfdSignal(event);
  t.equal(set.wait(-1), 2);
  t.equal(set.ready(1), c.POLLIN);
  t.equal(eventfdClear(event), 8);
  t.equal(eventfdClear(event), -ERRNO.EAGAIN);
  libc.read(pair[0], Buffer.alloc(1), 1);
  set.set(0, pair[0], c.POLLIN | c.POLLOUT);
  t.equal(set.wait(0), 1);
  t.equal(set.ready(0), c.POLLOUT);
  libc.close(pair[1]);
  set.wait(0);
  t.ok(set.ready(0) & c.POLLHUP);
  const copy = libc.dup(event);
  t.ok(copy >= 0 && copy !== event);
  for (const fd of [pair[0], event, copy]) t.equal(libc.close(fd), 0);
});

t.test('statx agrees with Node.js', async (t) => {
  const st = new StatxBuffer();
  t.equal(statx(c.AT_FDCWD, path.join(dir, 'missing'), 0, st), -ERRNO.ENOENT);
  execFileSync('touch', ['-a', '-d', '@1.5', file]);
  execFileSync('touch', ['-m', '-d', '@-3.25', file]);
  for (const name of [file, dir, '/dev/null', '/proc/self/exe']) {
    t.equal(statx(c.AT_FDCWD, name, c.AT_SYMLINK_NOFOLLOW, st), 0);
    const want = fs.lstatSync(name, { bigint: true });
    t.equal(BigInt(st.ino), want.ino);
    t.equal(BigInt(st.mode), want.mode);
    t.equal(BigInt(st.nlink), want.nlink);
    t.equal(BigInt(st.size), want.size);
    t.equal(BigInt(st.blocks), want.blocks);
    t.equal(BigInt(st.blksize), want.blksize);
    t.same([st.uid, st.gid], [Number(want.uid), Number(want.gid)]);
    t.equal(BigInt(libc.makeDevice(st.devMajor, st.devMinor)), want.dev);
    t.equal(BigInt(libc.makeDevice(st.rdevMajor, st.rdevMinor)), want.rdev);
    const ns = (s: number, ns: number): bigint => BigInt(s) * 1_000_000_000n + BigInt(ns);
    t.equal(ns(st.ctimeS, st.ctimeNs), want.ctimeNs);
    if (st.btimeS > 0) t.equal(ns(st.btimeS, st.btimeNs), want.birthtimeNs);
  }
  statx(c.AT_FDCWD, file, 0, st);
  t.same([st.atimeS, st.atimeNs], [1, 500_000_000]);
  t.same([st.mtimeS, st.mtimeNs], [-4, 750_000_000], 'before 1970');
  t.ok(st.mountId > 0);
});

t.test('names are bytes, not UTF-8', async (t) => {
  const name = 'n\xff\xe4\x80';
  const raw = Buffer.concat([Buffer.from(`${dir}/sub/`), Buffer.from(name, 'latin1')]);
  fs.writeFileSync(raw, 'raw');
  fs.symlinkSync(Buffer.from('to\xfe', 'latin1'), Buffer.from(`${dir}/sub/link`));
  withFd(path.join(dir, 'sub'), c.O_RDONLY | c.O_DIRECTORY, (fd) => {
    const listed = orThrow(readDirectory(fd), 'getdents64');
    t.same(listed.map((e) => e.name).sort(), ['a', 'b', 'link', name]);
    t.same(orThrow(readDirectory(fd), 'getdents64'), listed, 'a second listing starts anew');
    const entry = listed.find((e) => e.name === name);
    t.equal(entry?.ino, fs.statSync(raw).ino);
    t.equal(entry?.type, c.DT_REG);
    t.equal(listed.find((e) => e.name === 'link')?.type, c.DT_LNK);
    t.equal(libc.readlinkat(fd, 'link'), 'to\xfe');
    t.equal(libc.readlinkat(fd, 'a'), -ERRNO.EINVAL);
    const st = new StatxBuffer();
    t.equal(statx(fd, name, 0, st), 0);
    t.equal(st.size, 3);
    t.equal(libc.openat(fd, 'x'.repeat(4096), c.O_RDONLY), -ERRNO.ENAMETOOLONG);
    t.equal(libc.openat(fd, 'a\0b', c.O_RDONLY), -ERRNO.EINVAL);
  });
  withFd(path.join(dir, 'sub/link'), c.O_PATH | c.O_NOFOLLOW, (fd) => {
    t.equal(libc.readlinkat(fd, ''), 'to\xfe');
  });
});

t.test('a directory larger than one buffer', async (t) => {
  fs.mkdirSync(path.join(dir, 'large'));
  const names = Array.from({ length: 1500 }, (_, i) => `${'n'.repeat(100)}${i}`);
  for (const name of names) fs.writeFileSync(path.join(dir, 'large', name), '');
  withFd(path.join(dir, 'large'), c.O_RDONLY, (fd) => {
    const listed = orThrow(readDirectory(fd), 'getdents64').map((e) => e.name);
    t.same(listed.sort(), names.sort());
  });
  withFd(file, c.O_RDONLY, (fd) => t.equal(readDirectory(fd), -ERRNO.ENOTDIR));
});

t.test('openat2 stays beneath', async (t) => {
  fs.symlinkSync('/etc', path.join(dir, 'out'));
  withFd(dir, c.O_RDONLY | c.O_DIRECTORY, (fd) => {
    const open = (name: string): number =>
      libc.openat2(fd, name, c.O_RDONLY, 0, c.RESOLVE_BENEATH | c.RESOLVE_NO_MAGICLINKS);
    t.equal(open('../file'), -ERRNO.EXDEV);
    t.equal(open('out/passwd'), -ERRNO.EXDEV);
    const inside = open('sub/a');
    t.ok(inside > 0);
    t.match(fs.readFileSync(`/proc/self/fdinfo/${inside}`, 'utf8'), /flags:\s+02\d{6}\n/);
    libc.close(inside);
  });
});

t.test('extended attributes', async (t) => {
  execFileSync('setfattr', ['-n', 'user.one', '-v', '0x00ff', file]);
  for (const flags of [c.O_RDONLY, c.O_PATH]) {
    withFd(file, flags, (fd) => {
      t.same(fgetxattr(fd, 'user.one'), new Uint8Array([0, 255]));
      t.equal(fgetxattr(fd, 'user.two'), -ERRNO.ENODATA);
      t.has(flistxattr(fd), ['user.one']);
    });
  }
  t.same(lgetxattr(file, 'user.one'), new Uint8Array([0, 255]));
  t.ok(orThrow(llistxattr(file), 'llistxattr').includes('user.one'));
  t.same(llistxattr(path.join(dir, 'sub/a')), []);
  t.equal(fgetxattr(9999, 'user.one'), -ERRNO.EBADF);
});

t.test('a lock is exclusive between descriptors and goes with the last one', async (t) => {
  withFd(file, c.O_RDWR, (first) => {
    t.equal(libc.lockFile(first), 0);
    withFd(file, c.O_RDWR, (second) => {
      t.equal(libc.lockFile(second), -ERRNO.EAGAIN);
    });
    t.equal(libc.lockFile(first), 0, 'taken again by its owner');
  });
  withFd(file, c.O_RDWR, (third) => t.equal(libc.lockFile(third), 0));
});

t.test('descriptors travel over a socket', async (t) => {
  const [here, there] = orThrow(socketpair(), 'socketpair');
  withFd(file, c.O_RDONLY, (fd) => {
    // As fusermount3 does it: from a process of its own.
    const send = 'import socket; socket.send_fds(socket.socket(fileno=3), [b"x"], [4])';
    const stdio = ['ignore', 'inherit', 'inherit', there, fd] as const;
    t.equal(spawnSync('python3', ['-c', send], { stdio: [...stdio] }).status, 0);
    const received = recvFd(here);
    t.ok(received > 0 && received !== fd);
    const buf = Buffer.alloc(5);
    t.equal(libc.pread(received, buf, 5, 0), 5);
    t.equal(buf.toString(), 'hello');
    libc.close(received);
  });
  libc.write(there, Buffer.from('x'), 1);
  t.equal(recvFd(here), -ERRNO.ENODATA, 'data without a descriptor');
  libc.close(there);
  t.equal(recvFd(here), -ERRNO.ENODATA, 'the other side closed');
  libc.close(here);
});

t.test('space, memory settings and errors', async (t) => {
  withFd(dir, c.O_PATH, (fd) => {
    const space = orThrow(libc.fstatfs(fd), 'fstatfs');
    const want = fs.statfsSync(dir);
    t.equal(space.blocks, want.blocks);
    t.equal(space.type, want.type);
    t.equal(space.files, want.files);
    t.ok(space.blockSize >= 512 && space.nameMax === 255);
  });
  t.equal(libc.disableHugePages(), 0);
  t.ok([0, -ERRNO.EPERM].includes(libc.markIoFlusher()));
  t.equal(libc.mallopt(c.M_TRIM_THRESHOLD, 131072), true);
  t.throws(() => orThrow(-ERRNO.ENOENT, 'open', 'x'), { code: 'ENOENT', syscall: 'open' });
  const odd = t.throws(() => orThrow(-111, 'connect')) as FsError;
  t.ok(odd instanceof FsError);
  t.match(odd, { code: 'EIO', syscall: 'connect (ECONNREFUSED)' });
});

t.test('mount and unmount', async (t) => {
  const target = path.join(dir, 'm\xff');
  const raw = Buffer.from(target, 'latin1');
  if (process.getuid?.() !== 0) {
    t.equal(libc.mount('none', dir, 'tmpfs', 0, ''), -ERRNO.EPERM);
    return;
  }
  fs.mkdirSync(raw);
  t.equal(libc.mount('none', target, 'tmpfs', c.MS_NOSUID, 'size=1m,mode=700'), 0);
  t.match(execFileSync('cat', ['/proc/self/mounts'], { encoding: 'latin1' }), target);
  t.equal(libc.umount2(target, c.UMOUNT_NOFOLLOW), 0);
  t.equal(libc.umount2(target, c.UMOUNT_NOFOLLOW), -ERRNO.EINVAL);
});

t.test('a thread is kept on a processor and released again', async (t) => {
  const cpus = scheduling.allowedCpus();
  const told = /^Cpus_allowed_list:\s*(\S+)/m.exec(
    fs.readFileSync('/proc/thread-self/status', 'utf8'),
  );
  const [first, last] = (told?.[1] ?? '').split(/[-,]/).map(Number);
  t.equal(cpus[0], first);
  if (last !== undefined) t.ok(cpus.includes(last));
  for (const cpu of cpus.slice(0, 2)) {
    t.equal(scheduling.useCpus([cpu]), 0);
    t.equal(scheduling.currentCpu(), cpu);
    t.same(scheduling.allowedCpus(), [cpu]);
  }
  t.equal(scheduling.useCpus([]), -ERRNO.EINVAL, 'nowhere is refused');
  t.equal(scheduling.useCpus(cpus), 0);
  t.same(scheduling.allowedCpus(), cpus);
});

t.test('any user can enter the idle class', async (t) => {
  // In a process of its own: an ordinary user can't leave the class again everywhere.
  const script = `import('${new URL('../../../dist/libc/scheduling.js', import.meta.url)}').then((m) => {
    console.log(m.yieldToAll(), require('fs').readFileSync('/proc/thread-self/stat', 'latin1').split(') ')[1].split(' ')[38]);
  })`;
  t.equal(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).trim(), '0 5');
});
