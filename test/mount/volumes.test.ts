/** Which volume a mount takes, and the list of volumes: renamed, replaced, absent, several. */
import fs from 'node:fs';
import t from 'tap';
import { asRoot } from '../as-root.js';
import { type Answer, eachIdentity, identities, inWorld, ROOT, type World } from './harness.js';

const user = identities().at(-1) ?? ROOT;

async function listed(world: World, words: string[] = []): Promise<Answer[]> {
  const ran = await world.tryShadowfs(['volumes', '--json', ...words]);
  if (ran.status !== 0) throw new Error(ran.out + ran.err);
  return ran.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Answer);
}

async function says(world: World, words: string[]): Promise<string> {
  const ran = await world.tryShadowfs(words);
  return `${ran.status} ${ran.out}${ran.err}`;
}

const names = (world: World, directory: string): Promise<string> =>
  world.sh(`ls ${directory}/.snapshots`);

/** Mounts in place, saves under a name, unmounts. */
async function used(world: World, directory: string, ...words: string[]): Promise<string> {
  await world.sh(`mkdir -p ${directory}; echo ${directory} > ${directory}/f`);
  const { volumePath: volume } = await world.mount([...words, directory]);
  await world.shadowfs(['save', `of-${directory}`, '-C', directory]);
  await world.umount(world.path(directory));
  return String(volume);
}

asRoot(t, 'a volume on a disk that is not there now', (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh('mkdir store disk p; mount --bind store disk');
    const volume = world.path('disk/deep/vol');
    await used(world, 'p', '--volume', volume);
    await world.sh('umount disk');
    const p = world.path('p');
    const missing = {
      code: 'volume-missing',
      errno: 'ENOENT',
      volumePath: volume,
      lastUsedMs: Number,
    };
    const refused = await world.refused(['mount', p]);
    t.match(refused, missing, 'nothing new begins');
    t.match(
      refused.message,
      /last used \d{4}-\d\d-\d\d \d\d:\d\d UTC; .* is not mounted there now/,
    );
    t.match(await world.refused(['mount', p, '--volume', volume]), missing, 'nor when it is named');
    const helper = await says(world, ['mount.shadowfs', p, p, '-o', `volume=${volume}`]);
    t.match(helper, /^32 [\s\S]*is missing/, 'nor from fstab');
    t.match(await world.refused(['status', '-C', p]), missing);
    t.match(await world.refused(['snapshots', '--volume', volume]), missing);
    const receive = await world.tryShadowfs(['receive', volume], { input: 'no stream' });
    t.match(receive.err, /is missing/, 'nor does a stream make one');
    t.same(fs.readdirSync(world.path('disk')), [], 'nothing was made below the mountpoint');
    const [seen] = await listed(world);
    t.match(seen, {
      state: 'missing',
      problem: /not mounted there now/,
      directory: p,
      snapshotCount: 1,
    });
    await world.sh('mount -t tmpfs another disk');
    const other = await world.refused(['mount', p]);
    t.match(other.message, /and another \(tmpfs\) is now/);
    await world.sh('umount disk');
    t.match(await says(world, ['mount', '--new', p]), /^0 .*a new history begins/, 'on request');
    await world.umount(p);
    await world.sh('mount --bind store disk');
    await world.mount([p, '--volume', volume]);
    t.equal(await names(world, p), 'latest\nof-p\n', 'it is back');
    await world.umount(p);
    await world.mount([p]);
    t.equal(await names(world, p), 'latest\nof-p\n', 'the one used last');
    await world.umount(p);
    await world.sh('umount disk');
  }),
);

eachIdentity(t, 'a renamed directory keeps its volume', async (t, world) => {
  const volume = await used(world, 'a');
  await world.sh('mv a b');
  t.match(await listed(world), [{ state: 'orphaned', problem: /a does not exist/ }]);
  t.match(await says(world, ['snapshots', '-C', 'b']), /of-a/, 'known before it is mounted');
  const said = await says(world, ['mount', 'b']);
  t.match(said, /b was .*\/a when it was mounted last: its volume moves along/);
  t.notMatch(said, /new history/);
  t.equal(await names(world, 'b'), 'latest\nof-a\n');
  await world.umount(world.path('b'));
  t.match(await listed(world), [{ state: 'unmounted', base: world.path('b'), volumePath: volume }]);
  t.match(await says(world, ['diff', 'of-a', '-C', 'b']), /^0 /, 'the volume knows it, too');
});

t.test('directories that changed places, copies, mountpoints over nothing', (t) =>
  inWorld(t, user, async (world) => {
    await used(world, 'b');
    await world.sh('mv b tmp; cp -a tmp copy; mv tmp b');
    t.match(await world.mount(['copy']), { isNew: true }, 'a copy is another directory');
    await world.umount(world.path('copy'));
    await used(world, 'a');
    await world.sh('mv a x; mv b a; mv x b');
    await world.mount(['a']);
    t.equal(await names(world, 'a'), 'latest\nof-b\n', 'two that changed places');
    t.equal(await world.sh('cat a/f'), 'b\n');
    await world.umount(world.path('a'));

    await world.shadowfs(['mount', '--no-base', 'mnt']);
    await world.shadowfs(['save', 'over-nothing', '-C', 'mnt']);
    await world.umount();
    await world.sh('mv mnt elsewhere; mkdir mnt');
    t.match(await world.mount(['--no-base', 'elsewhere']), { isNew: false, snapshotCount: 1 });
    await world.umount(world.path('elsewhere'));
  }),
);

t.test('a directory that was replaced', (t) =>
  inWorld(t, user, async (world) => {
    const volume = await used(world, 'p');
    await world.sh('rm -r p; mkdir p; echo anew > p/f');
    const refused = await world.refused(['mount', 'p']);
    t.match(refused, { code: 'base-mismatch', volumePath: volume, directory: world.path('p') });
    t.match(refused.message, /mount -o reattach[\s\S]*mount --new/, 'both ways are told');
    t.match(await world.mount(['--new', 'p']), { isNew: true });
    await world.umount(world.path('p'));
    const both = await listed(world);
    t.match(both, [{ state: 'unmounted' }, { state: 'orphaned', volumePath: volume }]);
    t.match(await world.refused(['mount', '--volume', volume, 'p']), { code: 'base-mismatch' });
    await world.mount(['--volume', volume, '-o', 'reattach', 'p']);
    t.equal(await names(world, 'p'), 'latest\nof-p\n');
    t.match(await listed(world), [
      { state: 'mounted', mountpoint: world.path('p'), volumePath: volume },
      {},
    ]);
    await world.umount(world.path('p'));
    t.match(await listed(world), [
      { state: 'unmounted', volumePath: volume },
      { state: 'unmounted' },
    ]);
  }),
);

t.test('several volumes of one directory', (t) =>
  inWorld(t, user, async (world) => {
    const first = await used(world, 'p');
    const second = world.path('second');
    t.match(await says(world, ['mount', 'p', '--volume', second]), /a new history begins/);
    await world.umount(world.path('p'));
    t.match(await listed(world), [
      { volumePath: second, snapshotCount: 0, state: 'unmounted', directory: world.path('p') },
      { volumePath: first, snapshotCount: 1, state: 'unmounted', directory: world.path('p') },
    ]);
    const said = await says(world, ['mount', 'p']);
    t.match(said, /has 2 volumes; this is the one used last \(the others: .*--volume PATH/);
    t.match(said, second);
    await world.umount(world.path('p'));
    await world.mount(['p', '--volume', first]);
    await world.umount(world.path('p'));
    t.match(await world.mount(['p']), { volumePath: first }, 'the one used last');
    await world.umount(world.path('p'));
    await world.sh(`mv ${first} away; mv second ${first}`);
    const replaced = await world.refused(['mount', 'p']);
    t.match(replaced, { code: 'volume-replaced', errno: 'EINVAL' });
    t.match(await listed(world), [{ state: 'missing', problem: /another volume/ }, {}]);
    await world.mount(['p', '--volume', 'away']);
    t.equal(await names(world, 'p'), 'latest\nof-p\n');
    await world.umount(world.path('p'));
    const after = await listed(world);
    t.match(after[0], { volumePath: world.path('away'), state: 'unmounted' }, 'it was found again');
  }),
);

t.test('what older versions left is taken in', (t) =>
  inWorld(t, user, async (world) => {
    const state = world.path('home/state');
    const byDefault = await used(world, 'p');
    const named = await used(world, 'q', '--volume', world.path('named'));
    await world.shadowfs(['mount', '--no-base', 'mnt']);
    await world.umount();
    const old = { key: world.path('q'), volume: named };
    const gone = { key: world.path('r'), volume: world.path('not-there') };
    await world.sh(`cd ${state}; rm -r registry mounts; mkdir -m 700 registry; cd registry
      echo '${JSON.stringify(old)}' > q-0.json; echo '${JSON.stringify(gone)}' > r-0.json
      echo '{' > damaged.json; mkdir ../../../r`);
    t.match(await says(world, ['snapshots', '-C', 'p']), /of-p/, 'found without an entry');
    t.match(await world.refused(['mount', 'r']), { code: 'volume-missing' });
    const ran = await world.tryShadowfs(['volumes', '--json']);
    t.match(ran.err, /damaged\.json can't be read/);
    const lines = ran.out.trim().split('\n');
    const all = lines.map((line) => JSON.parse(line) as Answer);
    t.equal(all.length, 4);
    for (const [directory, volume] of [
      ['p', byDefault],
      ['q', named],
    ]) {
      const one = all.find((each) => each['volumePath'] === volume);
      t.match(one, { base: world.path(directory ?? ''), snapshotCount: 1, state: 'unmounted' });
      t.type(one?.['uuid'], 'string');
    }
    await world.sh('mv q moved');
    t.match(await world.mount(['moved']), { isNew: false, snapshotCount: 1 });
    await world.umount(world.path('moved'));
    t.match(await world.mount(['--no-base', 'mnt']), { isNew: false }, 'nothing told its place');
    await world.umount();
  }),
);

t.test('mounts at the same time are all listed', (t) =>
  inWorld(t, user, async (world) => {
    const all = ['a', 'b', 'c'];
    await world.sh(`mkdir ${all.join(' ')}`);
    await Promise.all(all.map((name) => world.mount([name])));
    const seen = await listed(world);
    t.same(
      seen.map(({ state }) => state),
      ['mounted', 'mounted', 'mounted'],
    );
    t.same(
      seen.map(({ base }) => base).sort(),
      all.map((name) => world.path(name)),
    );
  }),
);
