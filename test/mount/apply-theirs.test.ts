/**
 * `apply --theirs` on real mounts (rule A2): where the base changed in the same
 * places, the tree takes what the base has, and the rest is applied.
 */
import t from 'tap';
import { eachIdentity, inWorld, NOBODY, ROOT, type World } from './harness.js';
import { isRoot } from '../as-root.js';

const ORDINARY = isRoot ? NOBODY : { name: 'an ordinary user', uid: process.getuid?.() ?? -1 };

/** What the base has at the start. */
const START = `mkdir -p base/w/below base/q base/k && cd base && for f in both \\
  removed renamed mine theirs w/x w/below/z q/x k/x mode; do echo old $f > $f; done`;

/** Made in the tree, and applied before the rest. */
const APPLIED = 'cd "$MNT" && mkdir v && for f in vanished type v/x; do echo old $f > $f; done';

/** The tree's changes, one of each kind. */
const TREE = `cd "$MNT" && for f in both vanished type mine v/x; do echo ours >> $f; done &&
  rm removed && mv renamed got-another-name && mkdir made && echo ours > made/ours &&
  echo ours > made/both && echo ours > came && mkdir dir-and-file && echo ours > dir-and-file/x &&
  echo ours > file-and-dir && rm -r w && mv q moved && mv k kept && chmod 600 mode`;

/** What somebody does to the base meanwhile. */
const BASE = `cd base && for f in both removed renamed theirs w/x mode; do echo theirs >> $f; done &&
  rm vanished type && mkdir type && echo theirs > type/in && mkdir made && echo theirs > made/theirs &&
  echo theirs > made/both && echo theirs > came && echo theirs > dir-and-file && mkdir file-and-dir &&
  echo theirs > file-and-dir/in && rm -r v && rm -r q && chmod 640 came`;

const PLACES = [
  ['both', 'both', 'changed'],
  ['came', 'came', 'appeared'],
  ['dir-and-file', 'dir-and-file', 'appeared'],
  ['file-and-dir', 'file-and-dir', 'appeared'],
  ['made', 'made', 'appeared'],
  ['mode', 'mode', 'changed'],
  ['q', 'moved', 'vanished'],
  ['removed', 'removed', 'changed'],
  ['renamed', 'got-another-name', 'changed'],
  ['type', 'type', 'changed'],
  ['v', 'v', 'vanished'],
  ['v/x', 'v/x', 'vanished'],
  ['vanished', 'vanished', 'vanished'],
  ['w/x', 'w/x', 'changed'],
];

async function changeBoth(world: World): Promise<void> {
  await world.sh(START);
  await world.mount(['base', 'mnt']);
  await world.sh(APPLIED);
  await world.on(['apply']);
  await world.sh(TREE);
  await world.sh(`sleep 0.1; ${BASE}`);
  await world.sh('manifest base > theirs');
}

eachIdentity(t, 'each kind of conflict: the base keeps its version', async (t, world) => {
  await changeBoth(world);
  const preview = await world.on(['apply', '-n', '--theirs']);
  const found = (preview['conflicts'] ?? []) as { path: string; treePath: string; base: string }[];
  const places = found.map(({ path, treePath, base }) => [path, treePath, base].join());
  for (const place of PLACES) t.ok(places.includes(place.join()), place.join(' '));
  const items = (preview['items'] ?? []) as { path: string }[];
  const touched = items.map(({ path }) => path);
  t.ok(touched.includes('mine') && touched.includes('kept'), 'what is applied all the same');
  t.notOk(touched.some((path) => /^(both|came|made|type|v|moved|removed)/.test(path)));
  t.match(await world.refused(['apply', '-C', world.mnt]), { code: 'apply-conflict' });
  await world.sh('same_manifest theirs base');

  const applied = await world.on(['apply', '--theirs']);
  t.type((applied['taken'] as { undo: string }).undo, 'string');
  await world.sh('same_tree base "$MNT"');
  t.equal(
    await world.sh(`cd base && cat both removed got-another-name type/in made/* came dir-and-file \\
      file-and-dir/in w/x mine theirs kept/x; stat -c %a came mode; ls`),
    [
      ...['old both', 'theirs', 'old removed', 'theirs', 'old renamed', 'theirs', 'theirs'],
      ...['theirs', 'ours', 'theirs', 'theirs', 'theirs', 'theirs', 'old w/x', 'theirs'],
      ...['old mine', 'ours', 'old theirs', 'theirs', 'old k/x', '640', '644'],
      ...['both', 'came', 'dir-and-file', 'file-and-dir', 'got-another-name', 'kept', 'made'],
      ...['mine', 'mode', 'removed', 'theirs', 'type', 'w', ''],
    ].join('\n'),
  );
  t.match(await world.on(['apply']), { ok: true, items: [] });
  const { undo } = applied['taken'] as { undo: string };
  await world.sh(`cd "$MNT/.snapshots/${undo}" && grep -q ours made/ours && grep -q ours came &&
    test ! -e removed && test -e got-another-name && grep -q ours dir-and-file/x &&
    grep -q ours both && ! grep -q theirs both mode got-another-name`);
});

t.test('in place: both versions can be looked at', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.sh('mkdir dir; echo old > dir/f; echo old > dir/g');
    await world.mount(['dir'], { cwd: world.dir });
    const at = { cwd: world.path('dir') };
    const { baseSeenAt } = await world.shadowfs(['status', '-C', world.path('dir')]);
    await world.sh('echo ours > f; echo ours > new', at);
    await world.sh(`echo theirs, and longer > ${String(baseSeenAt)}/f`);
    const listed = await world.tryShadowfs(['apply', '-n'], at);
    t.equal(listed.status, 1);
    const path =
      /base: 19 bytes of .*, (\/proc\/\S+\/f)\n +tree: 5 bytes of .*, (\/\S+\/dir\/f)\n/.exec(
        listed.err,
      );
    t.ok(path !== null, listed.err);
    t.equal(await world.sh(`cat ${path?.[1]} ${path?.[2]}`), 'theirs, and longer\nours\n');
    const taking = await world.tryShadowfs(['apply', '-n', '--theirs'], at);
    t.equal(taking.status, 0, taking.err);
    t.match(taking.out, /\+ new .*\nT f: the tree takes what the base has: 19 bytes/);
    const told = await world.tryShadowfs(['apply', '--theirs'], at);
    t.match(told.out, /took what the base has in one place\napplied: 2 added/, told.err);
    t.equal(await world.sh('cat f new', at), 'theirs, and longer\nours\n');
    await world.umount(world.path('dir'));
    t.equal(await world.sh('cat f new', at), 'theirs, and longer\nours\n');
    t.match(await world.tryShadowfs(['apply', '--ours', '--theirs'], at), { status: 2 });
  }),
);

t.test('what was changed on both sides in the same way is no conflict', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.sh('mkdir base; echo old > base/f');
    await world.mount(['base', 'mnt']);
    await world.sh(
      'for d in "$MNT" base; do cd "$WORLD"; cd $d; echo n > f; mkdir m; echo m > m/m; done',
    );
    t.match(await world.on(['apply']), { ok: true });
    await world.sh('same_tree base "$MNT"');
  }),
);

t.test('a file of which the base has lost a part is not applied torn', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.sh('mkdir base; head -c 200000 /dev/zero | tr "\\0" a > base/f');
    await world.mount(['base', 'mnt']);
    await world.sh('echo ours | dd of="$MNT/f" conv=notrunc status=none; sleep 0.1');
    await world.sh('head -c 200000 /dev/zero | tr "\\0" b > base/f; manifest base > before');
    const refused = await world.refused(['apply', '--ours', '-C', world.mnt]);
    t.match(refused, { code: 'apply-refused', refusals: [{ path: 'f', reason: 'lost' }] });
    await world.sh('same_manifest before base');
    await world.on(['apply', '--theirs']);
    await world.sh('same_tree base "$MNT"; test "$(tr -d b < base/f | wc -c)" = 0');
  }),
);

if (isRoot) {
  t.test('killed in the middle, it goes on where it was', (t) =>
    inWorld(t, ROOT, async (world) => {
      await world.sh('mkdir base; echo old > base/f; echo old > base/g');
      await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: 'apply:step:2' } });
      await world.sh('cd "$MNT"; echo ours >> f; echo ours >> g; echo ours | tee a b c; sleep 0.1');
      await world.sh('echo theirs >> base/f');
      await world.refused(['apply', '--theirs', '-C', world.mnt]);
      await world.mount(['base', 'mnt']);
      await world.on(['apply', '--theirs']);
      await world.sh('same_tree base "$MNT"; grep -q ours base/g; ! grep ours base/f');
    }),
  );
}
