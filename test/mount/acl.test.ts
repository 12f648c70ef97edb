/**
 * POSIX ACLs: the same commands of the same users on a mount and on a plain
 * directory say the same, and a restore takes ACLs back for the kernel too.
 */
import t from 'tap';
import { asRoot } from '../as-root.js';
import { unless } from './driver-exceptions.js';
import { eachSetting, inWorld, isNative, ROOT, type World } from './harness.js';

const ANN = 1001;
const BOB = 1002;

/** Who does what, and with which further groups. The directory is 755 and root's. */
const STEPS: [number, string, number[]?][] = [
  [0, 'umask 022; mkdir -m 755 ann pub; chown 1001:1001 ann pub; chmod 777 pub'],
  [0, 'umask 022; mkdir -m 2775 team; chown 1001:1500 team'],
  // Access ACLs, and the mode that goes with them.
  [ANN, 'cd ann; umask 022; echo 1 > f; setfacl -m u:1002:rw f; getfacl -n f; stat -c %a f'],
  [BOB, 'cat ann/f; echo 2 >> ann/f; cat ann/f'],
  [ANN, 'cd ann; chmod 640 f; getfacl -n f; stat -c %a f; ls -l f | cut -c 1-11'],
  [BOB, 'cat ann/f; echo 3 >> ann/f'],
  [ANN, 'cd ann; chmod 600 f; getfacl -n f'],
  [BOB, 'cat ann/f'],
  [ANN, 'cd ann; chmod g+rw f; getfacl -n f; setfacl -m m::r f; getfacl -n f; stat -c %a f'],
  [BOB, 'cat ann/f; echo 4 >> ann/f'],
  [ANN, 'cd ann; setfacl -x u:1002 f; getfacl -n f; stat -c %a f'],
  [BOB, 'cat ann/f'],
  [ANN, 'cd ann; setfacl -m g:1500:rw,u:1003:- f; chmod o=r f; getfacl -n f'],
  [BOB, 'cat ann/f; echo 5 >> ann/f'],
  [BOB, 'cat ann/f; echo 6 >> ann/f', [1500]],
  [1003, 'cat ann/f'],
  [1003, 'cat ann/f', [1500]],
  [ANN, 'cd ann; setfacl -b f; getfacl -n f; stat -c %a f; getfattr -d -m - f'],
  [ANN, 'cd ann; setfacl -m m::rwx f; getfacl -n f; setfacl -k f; setfacl -b f; stat -c %a f'],
  [
    ANN,
    'cd ann; echo s > g; setfacl -m u:1002:rw g; setfattr -x system.posix_acl_access g; getfacl -n g',
  ],
  [BOB, 'cat ann/g; echo more >> ann/g'],
  [
    ANN,
    'cd ann; setfattr -x system.posix_acl_access g; echo $?; setfattr -x system.posix_acl_default g',
  ],
  // Who may set them, and what can't be set.
  [BOB, 'setfacl -m u:1002:rwx ann/f; setfacl -b ann/g; setfacl -d -m u:1002:rwx ann'],
  [
    ANN,
    'cd ann; setfacl -d -m u:1002:rw f; ln -s f link; setfacl -P -m u:1002:rw link; setfacl -m u:1002:r link; getfacl -n f',
  ],
  [
    ANN,
    'cd ann; setfattr -n system.posix_acl_access -v 0x0200000001000700ffffffff f; getfacl -n f',
  ],
  [
    ANN,
    'cd ann; setfattr -n system.posix_acl_access -v 0x01000000 f; setfattr -n system.posix_acl_access -v 0x02 f',
  ],
  [ANN, 'cd ann; setfattr -n system.posix_acl_access -v 0x02000000 f; getfacl -n f'],
  [
    ANN,
    'cd ann; setfattr -n system.unknown -v 1 f; setfattr -n system.posix_acl_access -v 0x02000000010006000000000004000400000000002000040000000000 f; getfattr -d -m - f; stat -c %a f',
  ],
  [
    ANN,
    'cd ann; setfacl $(for i in $(seq 2000 2400); do echo "-m u:$i:r"; done) f; getfacl -n f | sha256sum; setfacl -b f',
  ],
  [ANN, 'cd ann; mkfifo p; setfacl -m u:1002:rw p; getfacl -n p; rm p'],
  // Directories: walking, listing, making names.
  [
    ANN,
    'cd ann; mkdir -m 700 d; echo in > d/in; chmod 644 d/in; setfacl -m u:1002:x d; getfacl -n d',
  ],
  [BOB, 'cat ann/d/in; ls ann/d; touch ann/d/new'],
  [ANN, 'setfacl -m u:1002:rx ann/d'],
  [BOB, 'ls ann/d; touch ann/d/new'],
  [ANN, 'setfacl -m u:1002:rwx ann/d'],
  [BOB, 'umask 022; touch ann/d/new; ls ann/d; rm ann/d/in; ls -A ann/d'],
  [ANN, 'setfacl -x u:1002 ann/d; getfacl -n ann/d; stat -c %a ann/d'],
  [BOB, 'ls ann/d; cat ann/d/new'],
  [1003, 'ls ann/d'],
  [0, 'ls ann/d; chown 1003 ann/d; getfacl -n ann/d'],
  [0, 'rm -rf ann/d; ls ann'],
  // The umask, where there is no default ACL.
  [
    BOB,
    'cd pub; umask 027; touch f; mkdir d; mkfifo p; python3 -c "import os; os.close(os.open(\'o\', os.O_CREAT, 0o777))"; stat -c "%n %a" f d p o; umask 0; touch all; umask 777; touch none; stat -c "%n %a" all none; rm -rf *',
  ],
  [
    BOB,
    'cd pub; umask 077; python3 -c "import os; f = os.open(\'.\', os.O_TMPFILE | os.O_RDWR, 0o666); print(oct(os.fstat(f).st_mode))"; ln -s x l; stat -c %a l; rm l',
  ],
  // Default ACLs: instead of the umask, and handed on.
  [0, 'cd team; setfacl -d -m u::rwx,g::rwx,g:1500:rwx,u:1002:r-x,o::- .; getfacl -n .'],
  [
    ANN,
    'cd team; umask 077; touch f; mkdir d; mkfifo p; ln -s x l; getfacl -n f d p; stat -c "%n %a %g" f d p l',
  ],
  [
    ANN,
    'cd team; umask 077; mkdir -p d/e/g; touch d/e/g/f; acls d; cp /bin/true d/prog; getfacl -n d/prog; install -m 750 /dev/null d/i; getfacl -n d/i',
  ],
  [
    ANN,
    "cd team; python3 -c \"import os; os.close(os.open('o', os.O_CREAT, 0o640)); f = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o644); os.link('/proc/self/fd/%d' % f, 't', src_dir_fd=0, follow_symlinks=True)\"; getfacl -n o t",
  ],
  [ANN, 'cd team; mkdir -m 700 m; getfacl -n m; mknod -m 600 q p; getfacl -n q'],
  [BOB, 'cd team; ls; cat d/e/g/f; echo x > d/e/g/f; touch d/new', []],
  [
    BOB,
    'cd team; umask 077; echo b > d/new; getfacl -n d/new; echo x >> d/e/g/f; cat d/e/g/f',
    [1500],
  ],
  [1003, 'cd team; ls; cat f'],
  [ANN, 'cd team; mv f d; getfacl -n d/f; ln d/f hard; getfacl -n hard'],
  [
    0,
    'cd team; setfacl -d -m u::rwx,g::r-x,o::- d; rm -f d/x; touch d/x; getfacl -n d d/x; setfacl -d --set u::rw,g::r,o::r d; touch d/y; mkdir d/z; getfacl -n d d/y d/z; getfattr -m - d/y d/z',
  ],
  [0, 'cd team; setfacl -k d; getfacl -n d; umask 022; touch d/after; getfacl -n d/after'],
  // set-group-id and ACLs.
  [0, 'cd pub; touch s; chown 1002:1500 s; chmod 2775 s'],
  [BOB, 'cd pub; setfacl -m u:1001:rw s; stat -c %a s; setfacl -b s', [1500]],
  [BOB, 'cd pub; setfacl -m u:1001:rw s; stat -c %a s'],
  [
    0,
    'cd pub; chmod 2775 s; setfacl -m u:1001:rwx s; stat -c %a s; chown 1001 s; stat -c %a s; getfacl -n s',
  ],
  [
    ANN,
    'cd pub; mkdir -m 2775 sg; stat -c %a sg; setfacl -m u:1002:rwx sg; setfacl -d -m u:1002:rwx sg; stat -c %a sg; mkdir sg/sub; getfacl -n sg sg/sub',
  ],
  // Programs that take ACLs along.
  [
    ANN,
    'cd pub; mkdir src; setfacl -d -m u:1002:rx src; touch src/a; mkdir src/b; touch src/b/c; setfacl -m g:1500:r src/a; chmod 751 src/b; cp -a src cp; acls cp',
  ],
  [
    ANN,
    'cd pub; tar --acls -cf - src | (mkdir out; cd out; tar --acls -xf -); acls out; rsync -aA src/ rs/; acls rs; rsync -aA --delete cp/ rs/; acls rs',
  ],
  [
    ANN,
    'cd pub; acls src > saved; setfacl -Rb src; acls src; setfacl --restore=saved; acls src; cmp <(acls src) saved',
  ],
  [
    ANN,
    'cd pub; mkdir -m 755 plain; cp --preserve=mode src/a plain/p; cp src/a plain/q; mv src/b plain; acls plain',
  ],
];

async function runSteps(world: World, dir: string): Promise<string[]> {
  const lines: string[] = [];
  for (const [uid, script, groups] of STEPS) {
    const as = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`];
    const further = (groups ?? []).length === 0 ? '--clear-groups' : `--groups=${groups?.join()}`;
    const argv = [...as, further, 'bash', '-c', `. "$TOOLS"; cd "${dir}" || exit 99\n${script}`];
    const ran = await world.run(argv);
    lines.push(`${uid}: ${script} => ${ran.status}\n${ran.out}${ran.err}`);
  }
  return lines;
}

unless('no-acl', asRoot)(t, 'ACLs as on a plain directory', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh('mkdir -m 755 plain');
    await world.mount(['--no-base', '--allow-other', 'mnt']);
    await world.sh('chmod 755 "$MNT"');
    const plain = await runSteps(world, world.path('plain'));
    const mounted = await runSteps(world, world.mnt);
    for (const [n, line] of plain.entries()) t.equal(mounted[n], line, line.split('\n')[0] ?? line);
    await world.umount();
    await world.mount(['--no-base', '--allow-other', 'mnt']);
    const all = 'acls . | sha256sum; getfattr -Rdm - . | grep -c posix || true';
    t.equal(await world.sh(`cd "$MNT"; ${all}`), await world.sh(`cd plain; ${all}`), 'stored');
  }),
);

unless('no-acl', asRoot)(t, 'a restore takes ACLs back, for who has used them too', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh(`mkdir -p base/d/sub; echo f > base/d/f; echo g > base/d/sub/g; mkfifo base/d/p
        chown -R 1001:1001 base; chmod -R go= base/d; chmod 755 base
        setfacl -R -m u:1003:rwX base/d; setfacl -d -m u:1003:rwX base/d`);
    await world.mount(['--allow-other', 'base', 'mnt']);
    t.equal(
      await world.sh('cd "$MNT"; acls d'),
      await world.sh('cd base; acls d'),
      "the base's own",
    );
    const may = async (uid: number): Promise<string> => {
      const tries =
        'cat d/f; ls d/sub; test -w d/f; echo $?; test -w d/p; echo $?; test -w d; echo $?';
      return (await world.trySh(`cd "$MNT"; { ${tries}; } 2>&1 | sed 's/.*: //'`, { uid })).out;
    };
    const yes = 'f\ng\n0\n0\n0\n';
    const no = 'Permission denied\nPermission denied\n1\n1\n1\n';
    t.equal(await may(1003), yes);
    t.equal(await may(BOB), no);
    await world.on(['save', 'before']);
    await world.sh('cd "$MNT"; setfacl -R -x u:1003 -m u:1002:rwX d; setfacl -k d', { uid: ANN });
    t.equal(await may(1003), no, 'changed');
    t.equal(await may(BOB), yes);
    await world.on(['save', 'after']);
    for (let round = 0; round < 3; round++) {
      await world.on(['restore', 'before']);
      t.equal(await may(1003), yes, `restored, round ${round}`);
      t.equal(await may(BOB), no);
      t.match(await world.sh('cd "$MNT"; getfacl -n d'), /default:user:1003/);
      await world.on(['restore', 'after']);
      t.equal(await may(1003), no);
      t.equal(await may(BOB), yes);
      t.notMatch(await world.sh('cd "$MNT"; getfacl -n d'), /default/);
    }
    // In snapshots the ACLs of then hold.
    const look = async (uid: number, name: string): Promise<string> =>
      (await world.trySh(`cat "$MNT/.snapshots/${name}/d/f" 2>&1 | sed 's/.*: //'`, { uid })).out;
    t.equal(await look(1003, 'before'), 'f\n');
    t.equal(await look(BOB, 'before'), 'Permission denied\n');
    t.equal(await look(1003, 'after'), 'Permission denied\n');
    t.equal(await look(BOB, 'after'), 'f\n');
    const listed = 'acls d | grep -v "^#"';
    t.equal(
      await world.sh(`cd "$MNT/.snapshots/before"; ${listed}`),
      await world.sh(`cd base; ${listed}`),
    );
    t.equal(
      await world.sh(`cd "$MNT/.snapshots/after"; ${listed}`),
      await world.sh(`cd "$MNT"; ${listed}`),
    );
    t.match(await world.trySh('setfacl -m u:1002:r "$MNT/.snapshots/before/d/f"'), {
      status: 1,
      err: /Read-only/,
    });
    await world.sh(
      'cp -a "$MNT/.snapshots/before/d" "$MNT/copy"; cd "$MNT"; cmp <(cd copy; acls .) <(cd "$WORLD/base/d"; acls .)',
    );
    t.pass('copied out of a snapshot');
  }),
);

unless('no-acl', eachSetting)(t, 'ACLs of an own directory', async (t, world) => {
  await world.sh(
    'mkdir base plain; for d in base plain; do echo x > $d/f; setfacl -m u:77:rw $d/f; done',
  );
  await world.mount(['base', 'mnt']);
  const script = `umask 022; chmod 750 f; getfacl -cn f; mkdir d; setfacl -d -m g:88:rwx d; mkdir d/e; echo y > d/e/f
    acls d; cp -a d d2; acls d2; setfacl -Rb d2; acls d2; stat -c %a d/e/f d2/e/f`;
  t.equal(await world.sh(`cd "$MNT"; ${script}`), await world.sh(`cd plain; ${script}`));
  await world.on(['save', 's']);
  await world.sh('cd "$MNT"; setfacl -Rb .; rm -r d');
  await world.on(['restore', 's']);
  t.equal(await world.sh('cd "$MNT"; acls .'), await world.sh('cd plain; acls .'));
  t.match(await world.sh('getfacl -cn base/f'), /user:77:rw-/);
});

if (isNative) t.pass('NOT RUN: under the fuse-native driver there are no ACLs');
