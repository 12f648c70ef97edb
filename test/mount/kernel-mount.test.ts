/** Mounting as root and as an ordinary user, its refusals, and what ends a mount. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import t from 'tap';
import {
  mountAt,
  type MountEntry,
  parseMountTable,
  raiseReadahead,
  readMountTable,
} from '../../src/fuse/mount/mount-info.js';
import { isDead } from '../../src/daemon/mount/mount-table.js';
import { unmount } from '../../src/fuse/mount/kernel-mount.js';
import { asRoot, isRoot } from '../as-root.js';
import { mountMemory, USER_ID } from './memory-mount.js';

const FUSE_CONF = '/etc/fuse.conf';
const findMount = (dir: string): MountEntry | undefined => mountAt(readMountTable(), dir);
const temporary = (name: string): string => fs.mkdtempSync(path.join(os.tmpdir(), name));

asRoot(t, 'as root, at a path that needs escapes', async (t) => {
  const parent = temporary('fuse ');
  t.teardown(() => fs.rmdirSync(parent));
  const dir = path.join(parent, 'a b\tc\\d\nü');
  fs.mkdirSync(dir);
  const mount = await mountMemory(t, { source: 'the, source' }, 0, dir);
  const found = findMount(dir);
  t.match(found, { mountpoint: dir, type: 'fuse.shadowfs', source: 'the, source' });
  t.equal((await mount.sh('echo x > y; cat y')).out, 'x\n');
  t.equal((await mount.sh('ls', USER_ID)).status, 1, 'other users stay out');
  t.ok(raiseReadahead(dir, 1024 * 1024));
  t.equal(fs.readFileSync(`/sys/class/bdi/${found?.device}/read_ahead_kb`, 'utf8'), '1024\n');
  t.equal((await mount.sh('touch busy; exec 3<busy; umount "$0"; echo $?')).out, '32\n');
  const holder = mount.sh('exec 3<busy; mkdir held; sleep 2');
  while (!(await mount.sh('ls')).out.includes('held')) await new Promise((r) => setTimeout(r, 20));
  t.throws(() => unmount(dir), { code: 'mount-busy', errno: 'EBUSY' });
  await holder;
  unmount(dir);
  t.equal(await mount.ended, 0, mount.errors);
  t.throws(() => unmount(dir), { code: 'unmount-failed' });
});

asRoot(t, 'allow_other as root: permissions hold for everybody', async (t) => {
  const mount = await mountMemory(t, { allowOther: true });
  await mount.sh('chmod 755 .; echo secret > s; chmod 600 s; mkdir pub; chmod 1777 pub');
  t.match(await mount.sh('cat s', USER_ID), { status: 1, err: /Permission denied/ });
  const owned = await mount.sh('echo mine > pub/m && stat -c "%u %g" pub/m && cat pub/m', USER_ID);
  t.equal(owned.out, `${USER_ID} ${USER_ID}\nmine\n`);
  t.match(await mount.sh('touch other', USER_ID), { status: 1 });
  await mount.sh('cp /bin/true pub/suid; chown 65534 pub/suid; chmod 4755 pub/suid');
  await mount.sh('echo >> pub/suid; sync pub/suid', USER_ID);
  // The kernel itself goes on with the mode it knows until it asks again.
  fs.writeFileSync('/proc/sys/vm/drop_caches', '2');
  t.equal((await mount.sh('stat -c %a pub/suid')).out, '755\n', 'a write drops set-user-id');
  mount.unmount();
  t.equal(await mount.ended, 0, mount.errors);
});

asRoot(t, 'read-only', async (t) => {
  const mount = await mountMemory(t, { readOnly: true });
  t.match(await mount.sh('touch x'), { status: 1, err: /Read-only file system/ });
  mount.unmount();
  t.equal(await mount.ended, 0, mount.errors);
});

t.test('as an ordinary user', async (t) => {
  const mount = await mountMemory(t, { source: 'a,b' }, USER_ID);
  t.match(findMount(mount.dir), { type: 'fuse.shadowfs', source: 'a,b' });
  const ran = await mount.sh(
    'echo x > y; mkdir d; mv y d; cat d/y; stat -c %u d; stat -f -c %T .',
    USER_ID,
  );
  t.same(ran, { status: 0, out: `x\n${USER_ID}\nfuseblk\n`, err: '' });
  if (isRoot) t.equal((await mount.sh('ls')).status, 1, 'even root stays out without allow_other');
  t.type(await mount.ask('quiesce'), 'number');
  const leave = () =>
    spawnSync('fusermount3', ['-u', mount.dir], {
      ...(isRoot ? { uid: USER_ID, gid: USER_ID } : {}),
      encoding: 'utf8',
    });
  let left = leave();
  // Whoever looks at all mounts, df for one, keeps this one busy for a moment.
  for (let i = 0; i < 5 && left.stderr.includes('busy'); i++) left = leave();
  t.match(left, { status: 0, stderr: '' });
  t.equal(await mount.ended, 0, mount.errors);
});

asRoot(t, 'refusals', async (t) => {
  const parent = temporary('fuse-');
  t.teardown(() => fs.rmSync(parent, { recursive: true }));
  const missing = path.join(parent, 'missing');
  await t.rejects(mountMemory(t, {}, 0, missing), { code: 'mountpoint-missing' });
  fs.writeFileSync(missing, '');
  await t.rejects(mountMemory(t, {}, 0, missing), { code: 'mountpoint-not-directory' });

  // mountMemory gives the directory to the user; so it is made unwritable instead.
  const dir = temporary('fuse-');
  fs.chmodSync(dir, 0o555);
  await t.rejects(mountMemory(t, {}, USER_ID, dir), { code: 'mount-not-permitted' });

  const conf = fs.existsSync(FUSE_CONF) ? fs.readFileSync(FUSE_CONF, 'utf8') : '';
  if (!/^user_allow_other/m.test(conf)) {
    await t.rejects(mountMemory(t, { allowOther: true }, USER_ID), {
      code: 'allow-other-not-enabled',
      message: /user_allow_other/,
    });
  }
});

asRoot(t, 'a killed server leaves a stale mount, which can be taken away', async (t) => {
  const mount = await mountMemory(t);
  t.notOk(isDead(mount.dir));
  mount.kill();
  await mount.ended;
  t.ok(isDead(mount.dir));
  await t.rejects(mountMemory(t, {}, 0, mount.dir), { code: 'mountpoint-stale' });
  unmount(mount.dir, { lazy: true });
  t.equal(findMount(mount.dir), undefined);
});

asRoot(t, 'an aborted connection ends the session', async (t) => {
  const mount = await mountMemory(t);
  const minor = findMount(mount.dir)?.device.split(':')[1];
  if (!fs.existsSync(`/sys/fs/fuse/connections/${minor}`)) {
    spawnSync('mount', ['-t', 'fusectl', 'fusectl', '/sys/fs/fuse/connections']);
  }
  fs.writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1');
  t.equal(await mount.ended, 0, mount.errors);
  t.match(mount.errors, /ended: (aborted|unmounted)/);
});

asRoot(t, 'notifications reach the kernel', async (t) => {
  const mount = await mountMemory(t);
  await mount.sh('mkdir d; echo x > d/f; cat d/f');
  const node = Number((await mount.sh('stat -c %i d/f')).out);
  const dir = Number((await mount.sh('stat -c %i d')).out);
  const before = (await mount.ask<{ served: number }>('state')).served;
  await mount.sh('stat d/f; stat d/f');
  const cached = (await mount.ask<{ served: number }>('state')).served - before;
  const result = await mount.ask('notify', {
    batch: [
      { kind: 'inval-inode', node, offset: 0, length: 0 },
      { kind: 'inval-entry', parent: dir, name: 'f', expireOnly: true },
      { kind: 'inval-entry', parent: dir, name: 'nothing', expireOnly: false },
      { kind: 'inval-inode', node: 999999, offset: -1, length: 0 },
    ],
  });
  t.same(result, { sent: 4, failed: 0 }, 'what the kernel does not know is no failure');
  await mount.sh('stat d/f');
  const asked = (await mount.ask<{ served: number }>('state')).served - before - cached;
  t.ok(asked > 0, `the kernel asked again (${asked} requests)`);
  if ((await mount.ask<{ canIncEpoch: boolean }>('state')).canIncEpoch) {
    t.same(await mount.ask('notify', { batch: [{ kind: 'inc-epoch' }] }), { sent: 1, failed: 0 });
    const then = (await mount.ask<{ served: number }>('state')).served;
    await mount.sh('stat d/f');
    t.ok((await mount.ask<{ served: number }>('state')).served > then);
  }
  mount.unmount();
  t.equal(await mount.ended, 0, mount.errors);
  t.throws(() => execFileSync('stat', [path.join(mount.dir, 'd')], { stdio: 'ignore' }));
});

t.test('mountinfo', (t) => {
  const text = [
    '36 35 0:98 /sub /mnt\\040x rw,noatime shared:1 master:2 - fuse.shadowfs src\\011y rw,user_id=0',
    '37 35 0:99 / /\\303\\274 rw - ext4 /dev/x rw',
    'garbage',
    '',
  ].join('\n');
  t.match(parseMountTable(text), [
    {
      mountpoint: '/mnt x',
      root: '/sub',
      type: 'fuse.shadowfs',
      source: 'src\ty',
      device: '0:98',
      mountId: 36,
      mountOptions: 'rw,noatime',
      superOptions: 'rw,user_id=0',
    },
    {
      mountpoint: '/ü',
      root: '/',
      type: 'ext4',
      source: '/dev/x',
      device: '0:99',
    },
  ]);
  t.equal(parseMountTable(text).length, 2);
  t.end();
});
