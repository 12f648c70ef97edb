/** Volumes that are moved, forgotten, deleted and adopted, also when that is cut short. */
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { asRoot } from '../as-root.js';
import { type Answer, identities, inWorld, ROOT, type World } from './harness.js';

const user = identities().at(-1) ?? ROOT;

async function listed(world: World): Promise<Answer[]> {
  const ran = await world.tryShadowfs(['volumes', '--json']);
  if (ran.status !== 0) throw new Error(ran.out + ran.err);
  const lines = ran.out.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Answer);
}

/** A directory with a volume that has a snapshot, a lock and changes; its volume's path. */
async function made(world: World): Promise<string> {
  await world.sh('mkdir p; echo base > p/f');
  const { volumePath: volume } = await world.mount(['p']);
  await world.sh('cd p; echo more > g; head -c 3000000 /dev/urandom > h; echo s > .control/save');
  await world.shadowfs(['lock', 's', 'the audit', '-C', 'p']);
  return String(volume);
}

/** Another file system than the world's, as far as there is one. */
function elsewhere(world: World): string {
  const made = fs.mkdtempSync('/dev/shm/shadowfs-test-');
  if (user !== ROOT) fs.chownSync(made, world.identity.uid, world.identity.uid);
  return made;
}

t.test('a volume is moved, and is whole wherever the move is cut short', (t) =>
  inWorld(t, user, async (world) => {
    const other = elsewhere(world);
    t.teardown(() => fs.rmSync(other, { recursive: true, force: true }));
    await made(world);
    const p = world.path('p');
    t.match(await world.refused(['volume', 'move', p, 'v']), { code: 'volume-in-use' });
    await world.umount(p);
    const refuse = async (to: string, code: string): Promise<void> => {
      t.match(await world.refused(['volume', 'move', p, to]), { code }, to);
    };
    await refuse('p/inside', 'volume-inside-mount');
    await refuse('no/parent', 'directory-missing');
    await refuse('home', 'volume-exists');
    await refuse(path.join(String((await listed(world))[0]?.['volumePath']), 'x'), 'bad-option');

    const renamed = await world.shadowfs(['volume', 'move', p, 'v']);
    t.match(renamed, { to: world.path('v'), how: 'renamed', left: [] });
    const steps = ['move-noted', 'copied-file', 'move-copied', 'move-placed', 'move-entered'];
    let at = world.path('v');
    for (const step of [...steps, 'removed-file']) {
      const to = at.startsWith(other) ? world.path('v') : path.join(other, 'v');
      const env = { SHADOWFS_FAILPOINT: `volume:${step}` };
      const ran = await world.tryShadowfs(['volume', 'move', at, to], { env });
      t.not(ran.status, 0, `killed at ${step}`);
      const all = await listed(world);
      t.match(all, [{ state: 'unmounted', snapshotCount: 1, base: p, problem: null }], step);
      t.equal(all.length, 1, 'one volume');
      const now = String(all[0]?.['volumePath']);
      t.ok(now === at || now === to, `${now} after ${step}`);
      const gone = now === at ? to : at;
      t.notOk(fs.existsSync(gone) || fs.existsSync(`${gone}.shadowfs-moving`), 'nothing is left');
      at = now;
    }
    await world.check(['--volume', at]);
    const to = at.startsWith(other) ? world.path('v') : path.join(other, 'v');
    t.match(await world.shadowfs(['volume', 'move', p, to]), { how: 'copied' });
    await world.mount([p]);
    t.equal(await world.sh('cat p/g p/.snapshots/s/f; wc -c < p/h'), 'more\nbase\n3000000\n');
    await world.umount(p);
    await world.sh(`mv ${to} away`);
    t.match(await world.refused(['mount', p]), { code: 'volume-missing' });
    await world.shadowfs(['volume', 'move', '--moved', p, 'away']);
    t.match(await world.mount([p]), { volumePath: world.path('away'), isNew: false });
    await world.umount(p);
  }),
);

asRoot(t, 'a move to a disk that is too small', (t) =>
  inWorld(t, ROOT, async (world) => {
    const volume = await made(world);
    await world.umount(world.path('p'));
    await world.sh('mkdir small; mount -t tmpfs -o size=1M small small');
    const full = await world.refused(['volume', 'move', 'p', 'small/v']);
    t.match(full, { code: 'volume-unusable', errno: 'ENOSPC' });
    t.match(await listed(world), [{ state: 'unmounted', volumePath: volume }]);
    await world.sh('mount -o remount,ro small');
    const readOnly = await world.refused(['volume', 'move', 'p', 'small/v']);
    t.match(readOnly, { code: 'volume-unusable' });
    t.match(await listed(world), [{ state: 'unmounted', volumePath: volume }]);
    await world.sh('umount small');
  }),
);

t.test('a volume is forgotten, adopted and deleted', (t) =>
  inWorld(t, user, async (world) => {
    const volume = await made(world);
    const p = world.path('p');
    const { uuid } = (await listed(world))[0] ?? {};
    for (const words of [['forget'], ['delete', '--force']]) {
      t.match(await world.refused(['volume', ...words, p]), { code: 'volume-in-use' });
    }
    await world.umount(p);
    const forgotten = await world.tryShadowfs(['volume', 'forget', String(uuid).slice(0, 8)]);
    t.match(forgotten.out, new RegExp(`data stays in ${volume}`));
    t.same(await listed(world), []);
    t.match(await world.mount(['p']), { isNew: true }, 'it is not found any more');
    await world.umount(p);
    const second = String((await listed(world))[0]?.['volumePath']);
    t.not(second, volume);
    t.match(await world.shadowfs(['volume', 'adopt', volume]), {
      uuid,
      base: p,
      hasDirectory: true,
    });
    t.match(await world.refused(['volume', 'delete', p]), {
      code: 'volume-ambiguous',
      volumes: [volume, second],
    });
    t.match(await world.mount(['p']), { volumePath: volume, snapshotCount: 1 }, 'the adopted one');
    await world.umount(p);
    t.match(await world.refused(['volume', 'adopt', 'p']), { code: 'not-a-volume' });
    t.match(await world.refused(['volume', 'adopt', 'nowhere']), { code: 'not-a-volume' });
    t.match(await world.refused(['volume', 'delete', 'nowhere']), { code: 'no-such-volume' });

    const asked = await world.refused(['volume', 'delete', volume]);
    t.match(asked, {
      code: 'not-confirmed',
      loss: {
        snapshots: ['s'],
        branches: [],
        hasChanges: true,
        locks: [{ snapshot: 's', text: 'the audit' }],
      },
    });
    await world.mount(['p']);
    await world.shadowfs(['apply', '-C', p]);
    await world.shadowfs(['branch', 'try', '-C', p]);
    await world.umount(p);
    const applied = await world.tryShadowfs(['volume', 'delete', '-n', volume]);
    t.match(
      applied.out,
      /\n {2}2 snapshots: undo-.*, s\n {2}1 branch: try\n {2}s is locked by local/,
    );
    t.ok(fs.existsSync(path.join(volume, 'data.mdb')), 'nothing was deleted');
    await world.sh(`echo mine > ${volume}/mine`);
    const env = { SHADOWFS_FAILPOINT: 'volume:removed-file:2' };
    await world.tryShadowfs(['volume', 'delete', '--force', volume], { env });
    t.match(await world.refused(['mount', 'p', '--volume', volume]), { code: 'volume-missing' });
    t.match(await world.shadowfs(['volume', 'delete', volume]), { left: ['mine'] }, 'it goes on');
    t.same(fs.readdirSync(volume), ['mine'], 'what is not its own stays');
    t.match(await listed(world), [{ volumePath: second }]);

    await world.sh(`rm -r ${second}`);
    t.match(await world.refused(['volume', 'delete', '--force', p]), { code: 'volume-missing' });
    t.match(await world.shadowfs(['volume', 'forget', p]), { isThere: false });
    t.same(await listed(world), []);
    await world.mount(['--no-base', 'mnt']);
    await world.sh('echo only-here > "$MNT/f"');
    await world.umount();
    const nothing = await world.refused(['volume', 'delete', world.mnt]);
    t.match(nothing, { loss: { hasChanges: null, snapshots: [] } });
    await world.shadowfs(['volume', 'delete', '--force', world.mnt]);
    t.same(await listed(world), []);
  }),
);

t.test('a volume with an apply that was cut off', (t) =>
  inWorld(t, user, async (world) => {
    await world.sh('mkdir base; echo base > base/f');
    const cutOffAt = async (point: string): Promise<void> => {
      await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: `apply:${point}` } });
      await world.sh('date >> "$MNT/f"');
      t.not((await world.tryShadowfs(['apply', '-C', world.mnt])).status, 0);
      await world.sh('fusermount3 -uz mnt');
    };
    const remove = ['volume', 'delete', '--force', world.path('base')];
    await cutOffAt('switching');
    t.match(await world.refused(remove), { code: 'apply-interrupted' }, 'only it can end that');
    await world.mount(['base', 'mnt']);
    await world.umount();
    await cutOffAt('staged-one');
    t.match(await world.shadowfs(remove), { left: [] }, 'the journal goes, too');
  }),
);

asRoot(t, 'a move that can not end now stands in nobody’s way', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh('mkdir p other disk; echo p > p/f; mount -t tmpfs -o size=64M disk disk');
    await world.mount(['p', '--volume', 'disk/v']);
    await world.umount(world.path('p'));
    const env = { SHADOWFS_FAILPOINT: 'volume:removed-file' };
    await world.tryShadowfs(['volume', 'move', 'p', 'v'], { env });
    await world.sh('mount -o remount,ro disk');
    const seen = await world.tryShadowfs(['volumes', '--json']);
    t.match(seen, { status: 0, err: /the move of .*\/v that was cut short can't end: .*EROFS/ });
    t.match(JSON.parse(seen.out), { state: 'unmounted', volumePath: world.path('v') });
    await world.mount(['other']);
    await world.umount(world.path('other'));
    await world.sh('mount -o remount,rw disk');
    t.equal((await world.tryShadowfs(['volumes'])).err, '');
    await world.sh('test ! -e disk/v; umount disk');
  }),
);
