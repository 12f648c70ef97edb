/** Mounts over themselves: the base is the mountpoint. */
import fs from 'node:fs';
import t from 'tap';
import { eachIdentity } from './harness.js';

eachIdentity(t, 'a mount in place', async (t, world) => {
  await world.sh(
    'cd mnt; mkdir -p d/e; seq 1000 > d/f; echo keep > top; ln -s d/f l; manifest . > ../original',
  );
  await world.mount(['mnt']);
  await world.sh('same_manifest original mnt');
  const first = await world.on(['status']);
  t.equal(first['base'], world.mnt);
  await world.on(['save', 'before']);
  await world.sh(
    'cd mnt; rm -r d; echo changed > top; mkdir new; echo x > new/x; manifest . > ../changed',
  );
  await world.sh('same_manifest original mnt/.snapshots/before');
  await world.umount();
  await world.sh('same_manifest original mnt');
  t.pass('the original reappears, untouched');
  await world.mount(['mnt']);
  await world.sh('same_manifest changed mnt');
  t.equal((await world.on(['status']))['uuid'], first['uuid'], 'the volume is found again');
  await world.on(['restore', 'before']);
  await world.sh('same_manifest original mnt');
  await world.sh('cd mnt/d; node -e 0; ls; cd ../..');

  t.match(await world.refused(['mount', 'mnt']), { code: 'mountpoint-in-use', errno: 'EBUSY' });
  t.match(await world.refused(['mount', 'mnt', 'mnt']), { code: 'mountpoint-in-use' });
  await world.umount();
  for (const volume of ['mnt/volume', 'mnt/d/e/deep/volume']) {
    const refused = await world.refused(['mount', '--volume', volume, 'mnt']);
    t.match(refused, { code: 'volume-inside-mount', errno: 'EINVAL' });
  }
  await world.sh('same_manifest original mnt');
  // By another way to the same place.
  await world.sh('ln -s mnt way');
  t.match(await world.refused(['mount', '--volume', 'way/v', 'mnt']), {
    code: 'volume-inside-mount',
  });
  t.notOk(fs.existsSync(world.path('mnt/v')), 'nothing was made');
  await world.mount(['way']);
  t.equal((await world.on(['status']))['uuid'], first['uuid'], 'by a link too');
  await world.umount();
  await world.mount(['mnt']);
});

eachIdentity(t, 'commands from inside', async (t, world) => {
  await world.sh('mkdir -p mnt/deep/er; echo 1 > mnt/f');
  await world.mount(['mnt']);
  const inside = { cwd: world.path('mnt/deep/er') };
  t.match(await world.shadowfs(['save', 'a'], inside), { ok: true, name: 'a' });
  await world.sh('rm -r mnt/f', {});
  t.match(await world.shadowfs(['restore', 'a'], inside), { ok: true });
  t.equal(await world.sh('cat ../../f; pwd', inside), `1\n${inside.cwd}\n`);
  t.match(await world.shadowfs(['status'], inside), { mountpoint: world.mnt });
});
