/**
 * Other kernels: this one is made to look like it offers less, and the mount
 * does the same work. In short; `npm run test:kernels` runs the other mount
 * tests this way.
 */
import t, { type Test } from 'tap';
import { FEATURES, type Feature } from '../../src/fuse/protocol/kernel-override.js';
import {
  type Answer,
  identities,
  inWorld,
  isNative,
  NOBODY,
  type Ran,
  type World,
} from './harness.js';
import { Holder, Shell } from './puppets.js';

const O_RDWR = 2;

/** `FEATURES` as `status` calls them, as far as it tells of them. */
const TOLD: Partial<Record<Feature, string>> = {
  writeback: 'writeback',
  noOpen: 'noOpen',
  noOpendir: 'noOpendir',
  readdirplus: 'readdirplus',
  killPriv: 'killPriv',
  setxattrExtended: 'setxattrExtended',
  posixAcl: 'acls',
  expireOnly: 'expireOnly',
  incEpoch: 'incEpoch',
  prune: 'prune',
};

const MAKE = `
  mkdir -p src/deep/er docs; for i in $(seq 60); do seq $i $((i * 60)) > src/f$i; done
  seq 200000 > big; ln -s src/f1 link; ln src/f2 docs/hard; mkfifo pipe; : > nothing
  seq 30000 > src/deep/er/unchanged; chmod 600 src/f5; touch -d '2001-02-03 04:05:06.789' src/f6
`;

/** What programs do; its output is the same on a plain directory. */
const WORK = `
  umask 027
  mkdir w; cd w; cp -a ../src ../docs .; for i in $(seq 300); do echo $i > n$i; done; ls | wc -l
  head -c 700000 ../big > one; cat one one > two; cmp <(head -c 700000 two) one; tail -c +500001 two | sha256sum
  printf XX | dd of=two bs=1 seek=40000 conv=notrunc status=none; truncate -s 1000000 two; truncate -s 1200000 two; sha256sum two
  echo long content > t; echo short > t; cat t; : > t; stat -c %s t; echo a >> t; (echo b; echo c) >> t; cat t
  mv n1 n2; ln n3 hard; rm n4; mv src moved; rm -r moved/deep; ln -sfn docs lnk; readlink lnk; ln -sfn src lnk; readlink lnk
  mkdir sub; rmdir sub; mkdir sub; touch sub/x; rmdir sub 2>&1 | grep -c 'not empty'; ls sub
  python3 - <<'END'
import mmap, os
with open('map', 'w+b') as f:
    f.truncate(100000); m = mmap.mmap(f.fileno(), 0); m[70000:70006] = b'mapped'; m.flush(); m[5:9] = b'late'; m.close()
print(open('map', 'rb').read().count(b'mapped'), open('map', 'rb').read()[5:9])
f = os.open('gone', os.O_RDWR | os.O_CREAT); os.write(f, b'still'); os.unlink('gone'); print(os.pread(f, 9, 0), os.fstat(f).st_nlink)
fs = [os.open('app', os.O_WRONLY | os.O_CREAT | os.O_APPEND) for _ in range(4)]
for i in range(200): os.write(fs[i % 4], b'%03d\\n' % i)
print(open('app').read() == ''.join('%03d\\n' % i for i in range(200)))
os.setxattr('app', 'user.big', b'v' * 3000); os.setxattr('app', 'user.s', b'1'); print(sorted(os.listxattr('app')), len(os.getxattr('app', 'user.big')))
os.removexattr('app', 'user.s'); print(os.listxattr('app'))
os.utime('app', ns=(1, 123456789)); print(os.stat('app').st_mtime_ns)
d = os.open('app', os.O_RDONLY); c = os.open('copied', os.O_WRONLY | os.O_CREAT); print(os.copy_file_range(d, c, 800))
print(oct(os.stat('copied').st_mode), [os.lseek(d, 0, w) for w in (os.SEEK_DATA, os.SEEK_HOLE)])
END
  cp /bin/true suid; chmod 4755 suid; head -c 10 /dev/zero >> suid; stat -c %a suid
  chmod 6755 suid; chgrp $(id -g) suid; stat -c %a suid; chmod 4755 suid; truncate -s 5 suid; stat -c %a suid
  find . -printf '%P %y %m %n %l\\n' | LC_ALL=C sort | sha256sum; find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum
  cd ..; rm -rf w; ls -A | LC_ALL=C sort
`;

const ACLS = `
  umask 022; echo x > acl; setfacl -m u:77:rw acl && getfacl -cn acl; chmod 600 acl; getfacl -cn acl
  mkdir dacl; setfacl -d -m u:77:rwx dacl && (umask 077; touch dacl/f); getfacl -cn dacl/f
`;

/** What no old kernel may spoil: a restore under programs that run. */
async function restores(t: Test, world: World): Promise<void> {
  const holder = new Holder(world, { cwd: world.mnt });
  const shell = new Shell(world, { cwd: `${world.mnt}/src` });
  await world.on(['save', 'before']);
  await world.sh('manifest "$MNT" > mounted');
  await world.sh(`cd "$MNT"; echo wreck > src/f10; printf WRECK | dd of=big bs=1 conv=notrunc status=none
    rm src/f11; mv src/f12 src/f13; echo new > src/new; mkdir -p fresh/dir; rm -r docs; ln -sfn big link; chmod 777 src/f5; mv src/deep/er er`);
  const changed = await holder.open('src/f10', O_RDWR);
  const big = await holder.open('big', O_RDWR);
  const same = await holder.open('er/unchanged', O_RDWR);
  t.equal(await shell.run('cat f10; ls new f11 2>&1 | wc -l'), 'wreck 2 ');
  t.match(await world.on(['restore', 'before']), { ok: true });
  await world.sh('same_manifest mounted "$MNT"; same_manifest mounted "$MNT/.snapshots/before"');
  t.equal(
    await shell.run('ls new f11 2>&1 | wc -l; head -n 1 f10; cat f13 | wc -l; pwd'),
    `2 10 768 ${world.mnt}/src `,
  );
  t.equal(await shell.do('cd deep/er && cd ../..'), '0');
  t.equal(await holder.pread(changed, 0, 6), 'wreck\n', 'an open file reads its old content');
  t.equal(await holder.pread(big, 0, 5), 'WRECK');
  for (const fd of [changed, big]) {
    await t.rejects(holder.pwrite(fd, 0, 'lost'), { message: 'ESTALE' }, 'but takes no write');
  }
  t.equal(await holder.pwrite(same, 0, 'goes on'), 7, 'an unchanged file goes on');
  await holder.fsync(same);
  t.equal(await world.sh('head -c 7 "$MNT/src/deep/er/unchanged"'), 'goes on');
  t.equal(
    await world.sh('cmp base/big "$MNT/big"; readlink "$MNT/link"; ls -m "$MNT/docs"'),
    'src/f1\nhard\n',
  );
  const readOnly = await world.trySh(
    'echo x > "$MNT/.snapshots/before/big"; cmp base/big "$MNT/.snapshots/before/big"',
  );
  t.match(readOnly, { status: 0, err: /Read-only/ }, 'snapshots take no write');
  await holder.end();
  await shell.end();
}

async function work(t: Test, world: World, mode: string): Promise<void> {
  world.env['SHADOWFS_KERNEL'] = mode;
  await world.sh(`mkdir base plain; cd base; ${MAKE}\ncd ..; cp -a base/. plain`);
  await world.mount(['base', 'mnt']);
  const { kernel } = (await world.shadowfs(['status', '-C', world.mnt])) as { kernel: Answer };
  for (const item of mode.split(',')) {
    const told = TOLD[item.split('=')[0] as Feature];
    if (told !== undefined) t.equal(kernel[told], false, `without ${told}`);
  }
  const runIn = (dir: string): Promise<Ran> => world.trySh(`cd "${dir}"; ${WORK}`);
  t.same(await runIn(world.mnt), await runIn(world.path('plain')), 'the same work');
  const acls = await world.trySh(`cd "$MNT"; ${ACLS}`);
  if (kernel['acls'] === true) t.equal(acls.out, await world.sh(`cd plain; ${ACLS}`), 'ACLs');
  else t.match(acls.err, /not supported/, 'no ACLs');
  await world.sh('rm -r "$MNT"/acl "$MNT"/dacl');
  await restores(t, world);
}

const OLDEST = ['minor=31', 'maxWrite=16384', ...FEATURES.map((feature) => `${feature}=off`)].join(
  ',',
);

/** Each in turn as one of the identities, the oldest kernel as all of them. */
const MODES = [
  'minor=31',
  'minor=36',
  'maxWrite=4096',
  'nodesMax=20',
  'nodesMax=20,prune=off',
  ...FEATURES.filter((feature) => feature !== 'writeback').map((feature) => `${feature}=off`),
];

function run(): void {
  for (const identity of identities()) {
    t.test(`the oldest kernel, as ${identity.name}`, (t) =>
      inWorld(t, identity, (world) => work(t, world, OLDEST)),
    );
  }
  for (const [n, mode] of MODES.entries()) {
    const all = identities();
    const identity = all[n % all.length] ?? NOBODY;
    t.test(`${mode}, as ${identity.name}`, (t) =>
      inWorld(t, identity, async (world) => {
        world.writeback = n % 4 === 3;
        await work(t, world, mode);
      }),
    );
  }
}

if (isNative) t.pass('NOT RUN: under the fuse-native driver libfuse talks with the kernel');
else run();
