/** The pure parts of the daemon: mount table, places, options, records. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import {
  isRunning,
  type MountRecord,
  startTicksOf,
} from '../../../src/daemon/mount/mount-record.js';
import { parseMountOptions } from '../../../src/daemon/mount/mount-options.js';
import { parseSize } from '../../../src/format/text/volume-options.js';
import { mountAt, mountContaining } from '../../../src/daemon/mount/mount-table.js';
import { ensurePrivateDirectory, statePathsFor, slugOf } from '../../../src/daemon/mount/paths.js';
import { deviceText, parseMountTable } from '../../../src/fuse/mount/mount-info.js';

const TABLE = [
  '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw',
  '40 22 0:38 / /mnt/a rw - fuse.shadowfs /base rw,user_id=0',
  '41 40 0:39 / /mnt/a/in\\040side rw master:2 propagate_from:1 - tmpfs tmpfs rw',
  '42 22 0:40 / /mnt/ab rw - fuse.shadowfs-control /mnt/a rw',
  '43 22 0:41 / /mnt/a rw - fuse.shadowfs /other\\134x rw',
  'not a line',
  '44 22 0:42 / /mnt/\\303\\244 rw - fuse.shadowfs x rw',
].join('\n');

t.test('the mount table', async (t) => {
  const table = parseMountTable(TABLE);
  t.equal(table.length, 6);
  t.match(table[2], { mountpoint: '/mnt/a/in side', type: 'tmpfs', device: '0:39', mountId: 41 });
  t.equal(table[4]?.source, '/other\\x');
  t.equal(table[5]?.mountpoint, '/mnt/ä');
  t.equal(mountAt(table, '/mnt/a')?.mountId, 43, 'the mount on top');
  t.equal(mountAt(table, '/mnt'), undefined);
  t.equal(mountContaining(table, '/mnt/a/b/c')?.mountId, 43);
  t.equal(mountContaining(table, '/mnt/a/in side/x')?.mountId, 43, 'through another mount');
  t.equal(mountContaining(table, '/mnt/abc'), undefined, 'a longer name is another directory');
  t.equal(mountContaining(table, '/mnt/ab/c'), undefined, 'control mounts do not count');
});

t.test('places', async (t) => {
  const root = statePathsFor({ uid: 0, env: { XDG_RUNTIME_DIR: '/run/user/7' }, home: '/root' });
  t.same(root, { stateDirectory: '/var/lib/shadowfs', runtimeDirectory: '/run/shadowfs' });
  const user = statePathsFor({ uid: 7, env: { XDG_RUNTIME_DIR: '/run/user/7' }, home: '/home/u' });
  t.same(user, {
    stateDirectory: '/home/u/.local/state/shadowfs',
    runtimeDirectory: '/run/user/7/shadowfs',
  });
  const bare = statePathsFor({ uid: 7, env: { XDG_STATE_HOME: 'relative' }, home: '/home/u' });
  t.equal(bare.runtimeDirectory, '/tmp/shadowfs-7');
  t.equal(bare.stateDirectory, '/home/u/.local/state/shadowfs', 'relative paths do not count');
  const own = statePathsFor({ uid: 0, env: { SHADOWFS_STATE_DIR: '/x' }, home: '/' });
  t.equal(own.stateDirectory, '/x');
  t.match(slugOf('/home/u/my project!'), /^my_project_-[0-9a-f]{12}$/);
  t.not(slugOf('/a/x'), slugOf('/b/x'));
  t.match(slugOf('/'), /^root-/);
  t.match(slugOf('/a/..hidden'), /^_hidden-/);
  t.match(slugOf(`/${'é'.repeat(300)}`), /^[A-Za-z0-9._-]{1,60}$/);
});

t.test('a directory that others can write to is refused', async (t) => {
  const dir = t.testdir();
  const uid = process.getuid?.() ?? 0;
  ensurePrivateDirectory(path.join(dir, 'a/b'), uid);
  t.equal(fs.statSync(path.join(dir, 'a/b')).mode & 0o777, 0o700);
  fs.mkdirSync(path.join(dir, 'open'));
  fs.chmodSync(path.join(dir, 'open'), 0o777);
  t.throws(() => ensurePrivateDirectory(path.join(dir, 'open'), uid), { code: 'unsafe-directory' });
  fs.symlinkSync(os.tmpdir(), path.join(dir, 'link'));
  t.throws(() => ensurePrivateDirectory(path.join(dir, 'link'), uid), { code: 'unsafe-directory' });
  t.throws(() => ensurePrivateDirectory(path.join(dir, 'a'), uid + 1), {
    code: 'unsafe-directory',
  });
});

t.test('options', async (t) => {
  t.equal(parseSize('q', '4096'), 4096);
  t.equal(parseSize('q', '32K'), 32768);
  t.equal(parseSize('q', '2gib'), 2 * 2 ** 30);
  for (const bad of ['', 'x', '-1', '1.5G', '9999999999999999', '99999999999999T']) {
    t.throws(() => parseSize('q', bad), { code: 'bad-option' }, bad);
  }
  t.same(parseMountOptions(['ro,block-size=4K', '', 'compression,keep-undo=3,rw']), {
    creation: { blockSize: 4096, compression: true, keepUndo: 3 },
    readOnly: false,
    allowOther: false,
    nosuid: false,
    nodev: false,
    noexec: false,
    reattach: false,
    writeback: false,
    notify: true,
  });
  t.equal(parseMountOptions(['notify=off']).notify, false);
  t.equal(parseMountOptions(['writeback=on']).writeback, true);
  for (const bad of ['nope', 'keep-undo=x', 'compression=maybe', '__proto__=1', '=1']) {
    t.throws(() => parseMountOptions([bad]), { code: 'bad-option' }, bad);
  }
});

t.test('a process is told from a later one with its number', async (t) => {
  const startTicks = startTicksOf(process.pid) ?? 0;
  t.ok(startTicks > 0);
  const record = { pid: process.pid, startTicks, state: 'serving' } as MountRecord;
  t.ok(isRunning(record));
  t.notOk(isRunning({ ...record, startTicks: startTicks + 1 }));
  t.notOk(isRunning({ ...record, pid: 2 ** 30 }));
  t.notOk(isRunning({ ...record, state: 'stored' }), 'the process serves others now');
  t.equal(deviceText(fs.statSync('/proc').dev).split(':')[0], '0');
});
