/**
 * Limits of a file system: the most names a file can have, as on a plain
 * directory; and which calls a volume refuses that has run full (quota or
 * disk), with what was stored unharmed.
 */
import t, { type Test } from 'tap';
import { asRoot } from '../as-root.js';
import { identities, inWorld, NOBODY, ROOT, type World } from '../mount/harness.js';
import { PLACES, PLAIN, type Place, runGroup } from './places.js';

const as = identities().at(-1) ?? NOBODY;
const LONG_MS = 300_000;

t.test('65,000 names of one file', async (t) => {
  const inPlace = async (place: Place): Promise<unknown> => {
    let answers: unknown;
    await t.test(place.name, (t) =>
      inWorld(t, as, async (world) => {
        const dir = await place.prepare(world);
        answers = await runGroup(world, 'limits', dir, [], { timeoutMs: LONG_MS });
      }),
    );
    return answers;
  };
  const plain = await inPlace(PLAIN);
  for (const place of PLACES.slice(0, 1)) {
    t.same(await inPlace(place), plain, `${place.name}: the same answers`);
  }
});

/** These must be refused while there is no room at all; the others may be. */
const REFUSED = [
  'write behind the end',
  'write over data',
  'write into a hole',
  'store through a map',
  'fallocate',
  'copy_file_range',
  'nameless file',
];

async function callsOnAFullVolume(t: Test, world: World): Promise<void> {
  await runGroup(world, 'full', world.dir, ['prepare', world.mnt]);
  await world.on(['save', 'before']);
  await world.sh('manifest "$MNT" > before.manifest');
  const answers = await runGroup(world, 'full', world.dir, ['calls', world.mnt], {
    timeoutMs: LONG_MS,
  });
  const [full, saysSo, ...calls] = answers;
  t.same([full?.[1], saysSo?.[1]], [true, true], 'full, as df shows');
  t.same(
    calls.filter(([, answer]) => !['ok', 'short', 'ENOSPC'].includes(String(answer))),
    [],
    'calls are done or refused with ENOSPC',
  );
  t.same(
    calls.filter(([call, answer]) => call.startsWith('must') && answer !== 'ok'),
    [],
    'reading and removing go on',
  );
  t.same(
    calls.filter(([call]) => REFUSED.includes(call)).slice(0, REFUSED.length),
    REFUSED.map((call) => [call, 'ENOSPC']),
    'data is refused',
  );
  await world.check();

  await world.on(['save', 'full']);
  await world.sh('same_manifest before.manifest "$MNT/.snapshots/before"');
  await world.on(['restore', 'before']);
  await world.sh('same_manifest before.manifest "$MNT"');
  t.pass('nothing is lost, and it can be restored');
  await world.on(['delete', 'full']);
  await world.sh(
    `for i in $(ls "$MNT/.snapshots" | grep undo); do rmdir "$MNT/.snapshots/$i"; done
     wait_for python3 -c "import os; f = os.statvfs('$MNT'); assert f.f_bavail * f.f_frsize > 20 << 20"
     wait_for sh -c 'head -c 8000000 /dev/urandom > "$MNT/again" && sync "$MNT/again" || { rm -f "$MNT/again"; sleep 0.5; false; }'`,
    { timeoutMs: LONG_MS },
  );
  t.pass('deleting gives the room back');
}

t.test('calls on a volume with a full quota', (t) =>
  inWorld(t, as, async (world) => {
    await world.mount(['--no-base', '--quota', '48M', 'mnt']);
    await callsOnAFullVolume(t, world);
  }),
);

asRoot(t, 'calls on a volume on a full disk', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh(
      'truncate -s 64M image; mkfs.ext4 -q -m 0 image; mkdir disk; mount -o loop image disk',
    );
    await world.mount(['--no-base', '--volume', 'disk/volume', 'mnt']);
    await callsOnAFullVolume(t, world);
  }),
);
