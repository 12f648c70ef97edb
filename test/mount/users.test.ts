/**
 * Two users on one mount (allow_other, default_permissions): what each may do is
 * what the same script shows on a plain directory.
 */
import t from 'tap';
import { unless } from './driver-exceptions.js';
import { asRoot } from '../as-root.js';
import { inWorld, ROOT, type World } from './harness.js';

const ANN = 1001;
const BOB = 1002;

/** One line of a script: who does it, and what. */
const STEPS: [number, string][] = [
  [
    0,
    'chmod 755 .; mkdir shared ann bob sticky setgid; chmod 777 shared; chown 1001:1001 ann; chown 1002:1002 bob',
  ],
  [
    0,
    'chmod 1777 sticky; chgrp 1002 setgid; chmod 2777 setgid; chmod 700 ann bob; echo root > rootfile; chmod 600 rootfile',
  ],
  [
    ANN,
    'echo mine > ann/private; echo a > shared/a; chmod 644 shared/a; umask 077; echo s > shared/secret; mkdir shared/anndir',
  ],
  [BOB, 'cat ann/private'],
  [BOB, 'ls ann'],
  [BOB, 'cat rootfile'],
  [BOB, 'cat shared/a'],
  [BOB, 'echo x >> shared/a'],
  [BOB, 'cat shared/secret'],
  [BOB, 'ls shared/anndir'],
  [BOB, 'chmod 777 shared/a'],
  [BOB, 'chown 1002 shared/a'],
  [BOB, 'touch -d 2000-01-01 shared/a'],
  [BOB, 'mv shared/a shared/renamed'],
  [BOB, 'rm shared/renamed'],
  [ANN, 'echo st > sticky/ann; chmod 666 sticky/ann'],
  [BOB, 'rm sticky/ann'],
  [BOB, 'mv sticky/ann sticky/bob'],
  [BOB, 'echo more >> sticky/ann'],
  [BOB, 'echo b > setgid/f; mkdir setgid/d; stat -c "%u %g %a" setgid/f setgid/d'],
  [ANN, 'echo b > setgid/g; mkdir setgid/e; stat -c "%u %g %a" setgid/g setgid/e'],
  [ANN, 'chgrp 1002 shared/secret'],
  [ANN, 'chmod 2755 setgid/g; stat -c %a setgid/g'],
  [ANN, 'mkdir x'],
  [ANN, 'cd shared/anndir && echo deep > f && chmod 644 f'],
  [BOB, 'cat shared/anndir/f'],
  [ANN, 'chmod 711 shared/anndir'],
  [BOB, 'cat shared/anndir/f; ls shared/anndir'],
  [ANN, 'printf "#!/bin/sh\\nid -u" > shared/run; chmod 755 shared/run; shared/run'],
  [BOB, 'shared/run; shared/anndir/f'],
  [
    0,
    'cp /bin/true shared/suid; chown 1001 shared/suid; chmod 4777 shared/suid; stat -c %a shared/suid',
  ],
  [BOB, 'echo >> shared/suid; stat -c %a shared/suid'],
  [
    0,
    'chown 1002 shared/suid; chmod 6755 shared/suid; chown 1001 shared/suid; stat -c %a shared/suid',
  ],
  [ANN, 'ln shared/suid shared/linked; stat -c %h shared/suid'],
  [BOB, 'truncate -s 0 shared/suid'],
  [BOB, 'setfattr -n user.x -v 1 shared/secret'],
  [ANN, 'setfattr -n user.x -v 1 shared/secret; getfattr --only-values -n user.x shared/secret'],
  [BOB, 'getfattr -n user.x shared/secret'],
  [BOB, 'setfattr -n trusted.x -v 1 bob'],
  [0, 'find . -printf "%P %y %m %U %G %n\\n" | LC_ALL=C sort'],
];

async function runSteps(world: World, dir: string): Promise<string[]> {
  const lines: string[] = [];
  for (const [uid, script] of STEPS) {
    const ran = await world.trySh(`cd "${dir}" || exit 99\n${script}`, { uid });
    lines.push(`${uid}: ${script} => ${ran.status}\n${ran.out}${ran.err}`);
  }
  return lines;
}

unless('no-other-users', asRoot)(t, 'permissions as on a plain directory', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh('mkdir plain');
    await world.mount(['--no-base', '--allow-other', 'mnt']);
    const plain = await runSteps(world, world.path('plain'));
    const mounted = await runSteps(world, world.mnt);
    for (const [n, line] of plain.entries()) t.equal(mounted[n], line, line.split('\n')[0] ?? line);
  }),
);

unless('no-other-users', asRoot)(t, 'snapshots and control files of two users', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh(
      'mkdir base; echo 1 > base/f; mkdir -m 700 base/ann; echo s > base/ann/s; chown -R 1001:1001 base/ann; chmod 666 base/f',
    );
    await world.mount(['-o', 'allow_other', 'base', 'mnt']);
    await world.on(['save', 's']);
    const as = async (uid: number, script: string): Promise<string> => {
      const ran = await world.trySh(`cd "$MNT"; ${script}`, { uid });
      return `${ran.out}${ran.err.replace(/^.*: /gm, '')}`;
    };
    t.equal(await as(ANN, 'cat ann/.snapshots/s/s .snapshots/s/ann/s'), 's\ns\n');
    t.equal(
      await as(BOB, 'cat .snapshots/s/f; cat .snapshots/s/ann/s; ls ann/.snapshots'),
      '1\nPermission denied\nPermission denied\n',
    );
    t.match(await as(BOB, 'mkdir .snapshots/x'), /denied|not permitted/);
    t.match(await as(BOB, 'rmdir .snapshots/s'), /denied|not permitted/);
    t.match(await as(BOB, 'echo y > .control/save'), /denied/);
    t.match(await world.tryShadowfs(['save', 'z', '-C', world.mnt], { uid: BOB }), {
      status: 1,
      err: /belong to uid 0|denied/,
    });
    t.equal((await world.sh('ls -m "$MNT/.snapshots"')).trim(), 'latest, s', 'nothing was made');
    const results = await Promise.all(
      [ANN, BOB].map((uid) =>
        world.trySh('cd "$MNT"; for i in $(seq 300); do echo $i >> f; cat f > /dev/null; done', {
          uid,
        }),
      ),
    );
    t.same(
      results.map(({ status }) => status),
      [0, 0],
    );
    t.equal(await world.sh('wc -l < "$MNT/f"'), '601\n', 'both appended to one file');
  }),
);

asRoot(t, "without allow_other a mount is its owner's", (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    t.match(await world.trySh('ls "$MNT"', { uid: BOB }), { status: 2, err: /denied/ });
  }),
);
