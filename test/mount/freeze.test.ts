/**
 * The rest of the base is copied into the volume, on real mounts (rules A11,
 * A12): then the base may be emptied or vanish. Killed at each of its steps, the
 * next freeze goes on.
 */
import t from 'tap';
import { isRoot } from '../as-root.js';
import { asUser, eachIdentity, inWorld, ROOT } from './harness.js';

const BASE = `mkdir -p base/d/e && cd base && echo one > f && echo deep > d/e/x && ln f d/link &&
  head -c 200000 /dev/urandom > big && ln -s f soft && echo z > gone && mkdir empty && chmod 700 empty`;
const WORK = `cd "$MNT" && echo two >> f && mv d/e moved && rm gone && echo new > new && chmod 600 big &&
  printf x | dd of=big bs=1 seek=70000 conv=notrunc status=none`;
const SAME = 'same_manifest before "$MNT" && same_manifest start "$MNT/.snapshots/start"';

asUser(t, 'in place: the directory may be emptied, and mounts again', async (t, world) => {
  await world.sh(BASE);
  await world.mount(['base']);
  const base = world.path('base');
  await world.shadowfs(['save', 'start', '-C', base]);
  await world.sh('manifest "$PWD/base" > start');
  await world.sh(`MNT=$PWD/base; ${WORK}`);
  await world.sh('manifest "$PWD/base" > before');
  const survey = await world.shadowfs(['freeze', '-n', base]);
  t.match(survey, { ok: true, obstacles: [], directoryCount: 4 });
  t.match(await world.shadowfs(['freeze', base]), { ok: true, directoryCount: 4 });
  const status = await world.shadowfs(['status', base]);
  t.match(status, { base: null, frozenMs: Number });
  const same = `MNT=$PWD/base; ${SAME}`;
  await world.sh(same);
  t.match(await world.refused(['freeze', base]), { code: 'already-frozen' });
  t.match(await world.refused(['apply', '-C', base]), { code: 'no-base' });
  await world.umount(base);
  await world.sh('same_manifest before base && exit 1; rm -rf base/* && ls -A base');
  await world.mount(['base']);
  await world.sh(`${same} && echo more > base/d/more`);
  await world.check(['-C', base]);
  await world.umount(base);
  await world.sh('rm -r base && mkdir base mnt2');
  const { volumePath } = await world.mount(['base']);
  await world.sh('test "$(cat base/d/more)" = more && rm base/d/more');
  await world.umount(base);
  await world.sh('rm -r base');
  await world.mount(['--no-base', '--volume', String(volumePath), 'mnt2']);
  await world.sh('test "$(cat mnt2/new)" = new && ls mnt2/.snapshots/start/d/e/x');
  await world.umount(world.path('mnt2'));
});

eachIdentity(t, 'beside: the mount serves on while the base goes', async (t, world) => {
  await world.sh(BASE);
  await world.mount(['base', 'mnt']);
  await world.on(['save', 'start']);
  await world.sh(`manifest "$MNT" > start; ${WORK}; manifest "$MNT" > "$OLDPWD/before"`);
  const freezing = world.on(['freeze']);
  await world.on(['save', 'meanwhile']);
  t.match(await freezing, { ok: true });
  await world.sh(`rm -r base && ${SAME} && same_manifest before "$MNT/.snapshots/meanwhile"`);
  await world.check();
});

asUser(t, 'refused where it can not be, and said before', async (t, world) => {
  await world.sh(
    'mkdir base && head -c 300000 /dev/zero > base/f && echo one > base/small && echo secret > base/secret && chmod 0 base/secret',
  );
  await world.mount(['base', 'mnt']);
  const { obstacles } = await world.refused(['freeze', '-n', world.mnt]);
  t.match(obstacles, [{ path: 'secret', reason: 'unreadable', errno: 'EACCES' }]);
  t.match(await world.refused(['freeze', world.mnt]), {
    code: 'freeze-refused',
    obstacles: [{ path: 'secret', reason: 'unreadable' }],
  });
  await world.sh(
    `echo more | tee -a "$MNT/f" >> "$MNT/small"; sync "$MNT/f" "$MNT/small"; sleep 0.05
    echo other | tee base/f > base/small; chmod 600 base/secret`,
  );
  t.match(await world.refused(['freeze', world.mnt]), {
    code: 'freeze-refused',
    errno: 'EBUSY',
    obstacles: [{ path: 'f', reason: 'changed' }],
  });
  t.match(await world.shadowfs(['freeze', '--force', world.mnt]), {
    ok: true,
    lost: [{ path: 'f', reason: 'changed' }],
    lostCount: 1,
  });
  await world.sh(
    `rm -r base/*; grep -q secret "$MNT/secret"; test "$(cat "$MNT/small")" = "$(printf 'one\nmore')"
    cat "$MNT/f" > bytes 2> error && exit 1; grep -q 'Input/output error' error`,
  );
  await world.umount();
  await world.mount(['base', 'mnt', '--ro']);
  t.match(await world.refused(['freeze', world.mnt]), { code: 'read-only', errno: 'EROFS' });
  await world.umount();
  await world.sh('mkdir mnt3');
  await world.mount(['--no-base', 'mnt3']);
  t.match(await world.refused(['freeze', world.path('mnt3')]), { code: 'no-base' });
  await world.umount(world.path('mnt3'));
});

asUser(t, 'Ctrl-C ends it, and the next one goes on', async (t, world) => {
  await world.sh('mkdir base && for i in $(seq 100); do head -c 4M /dev/urandom > base/$i; done');
  await world.sh('cd base && sha1sum * > ../sums');
  await world.mount(['base', 'mnt']);
  const child = world.start(['node', `${world.checkout}/dist/cli/main.js`, 'freeze', world.mnt]);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await world.sh(
    'cd "$MNT/.control"; until grep -q copy status; do sleep 0.01; done; ' +
      '! echo > apply && grep freeze-running result',
  );
  child.kill('SIGINT');
  t.equal(await ended, 1, 'it says that it was ended');
  const status = await world.on(['status']);
  t.match(status, { frozenMs: null, base: String });
  await world.sh('cd "$MNT" && sha1sum --quiet -c ../sums');
  await world.on(['freeze']);
  await world.sh('rm -r base && cd "$MNT" && sha1sum --quiet -c ../sums');
});

if (isRoot) {
  for (const point of ['stored', 'copied', 'recorded']) {
    t.test(`killed at freeze:${point}`, (t) =>
      inWorld(t, ROOT, async (world) => {
        await world.sh(BASE);
        await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: `freeze:${point}` } });
        await world.on(['save', 'start']);
        await world.sh(
          `manifest "$MNT" > start; ${WORK}; manifest "$MNT" > "$OLDPWD/before"; sync f`,
        );
        await world.refused(['freeze', world.mnt]);
        await world.mount(['base', 'mnt']);
        await world.sh(SAME);
        if (point === 'recorded') t.match(await world.on(['status']), { frozenMs: Number });
        else await world.on(['freeze']);
        await world.sh(`rm -r base && ${SAME}`);
      }),
    );
  }
}
