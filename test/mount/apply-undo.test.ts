/** `undo` of an apply, on real mounts (rules U1–U5): the base goes back, and forward again. */
import t from 'tap';
import { inWorld, NOBODY, ROOT, type World } from './harness.js';
import { isRoot } from '../as-root.js';

const ORDINARY = isRoot ? NOBODY : { name: 'an ordinary user', uid: process.getuid?.() ?? -1 };
const BASE =
  'mkdir -p base/d && cd base && echo one > f && echo x > d/x && echo y > d/y && ln f hard && echo g > g';
const WORK = `cd "$MNT" && echo two >> f && mv d e && rm e/x && mkdir n && echo new > n/new &&
  chmod 600 g && ln -s f soft`;

async function says(world: World, ...words: string[]): Promise<string> {
  const { status, out, err } = await world.tryShadowfs(words, { cwd: world.mnt });
  return `${status} ${out}${err}`;
}

t.test('back, forward again, and what the tree is stays', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.sh(BASE);
    await world.mount(['base', 'mnt']);
    await world.on(['save', 'start']);
    await world.sh(`manifest base > before; ${WORK}`);
    t.match(await says(world, 'apply'), /\nto undo this: shadowfs undo\n$/);
    await world.sh('manifest base > after; echo later > "$MNT/later"; manifest "$MNT" > tree');
    const preview = await says(world, 'undo', '-n');
    t.match(
      preview,
      /^0 would take back "apply" of .*\n(.*\n)*- n\/new .*\n(.*\n)*\S+ stays as it is/,
    );
    t.match(preview, /R e -> d\/\n/);
    await world.sh('same_manifest after base');
    const undone = await says(world, 'undo');
    t.match(undone, /^0 took back "apply" of .*: the base .*\/base is what it was before it\n/);
    t.match(undone, /mnt is unchanged\nshadowfs undo goes forward again\n$/);
    await world.sh('same_manifest before base; same_manifest tree "$MNT"');
    await world.sh('same_manifest before "$MNT/.snapshots/start"');
    t.match(await world.on(['status']), { isApplied: false });
    t.match(await says(world, 'undo', '--list'), /apply +taken back/);
    t.match(await world.on(['undo']), { direction: 'forward', concerns: 'base' });
    await world.sh('same_manifest after base; same_manifest tree "$MNT"');
    await world.on(['undo']);
    t.match(await world.on(['apply']), { ok: true, summary: { removed: 1, renamed: 1 } });
    await world.sh('same_tree base "$MNT"; same_manifest before "$MNT/.snapshots/start"');
    t.match(await world.refused(['undo', '--forward', '-C', world.mnt]), {
      code: 'nothing-to-undo',
    });
  }),
);

t.test('among restores, and of parts', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.sh('mkdir -p base/a base/b; echo 0 | tee base/a/f base/b/f base/c');
    await world.mount(['base', 'mnt']);
    const state = (): Promise<string> => world.sh('cd base; echo $(cat a/f b/f c) $(cat "$MNT/c")');
    await world.on(['save', 'start']);
    await world.sh('cd "$MNT"; echo 1 | tee a/f b/f c');
    const a = { cwd: world.mnt };
    await world.shadowfs(['apply', 'a'], a);
    t.equal((await state()).trim(), '1 0 0 1');
    await world.sh('cd "$MNT"; echo 2 | tee a/f b/f c');
    await world.on(['apply']);
    t.equal((await state()).trim(), '2 2 2 2');
    await world.on(['restore', 'start']);
    t.match(await world.on(['undo', '--back']), { concerns: 'tree' });
    t.equal((await state()).trim(), '2 2 2 2');
    t.match(await world.on(['undo', '--back']), {
      concerns: 'base',
      passed: [{ command: 'apply' }],
    });
    t.equal((await state()).trim(), '1 0 0 2', 'the part that had been applied before stays');
    t.match(await says(world, 'undo', '--back'), /^0 took back "apply a" of /);
    t.equal((await state()).trim(), '0 0 0 2');
    for (const wanted of ['1 0 0 2', '2 2 2 2', '2 2 2 0']) {
      await world.on(['undo', '--forward']);
      t.equal((await state()).trim(), wanted);
    }
    await world.on(['check']);
  }),
);

t.test('what others have changed since is not lost', (t) =>
  inWorld(t, ORDINARY, async (world) => {
    await world.sh('mkdir base; echo old | tee base/f base/g');
    await world.mount(['base', 'mnt']);
    await world.sh('cd "$MNT"; echo ours | tee f g; echo new > new');
    await world.on(['apply']);
    await world.sh('sleep 0.1; echo theirs >> base/f; manifest base > before');
    const refused = await world.refused(['undo', '-C', world.mnt]);
    t.match(refused, { code: 'apply-conflict', conflicts: [{ path: 'f', base: 'changed' }] });
    t.match(refused.message, /shadowfs undo --ours/);
    t.match(await says(world, 'undo', '-n'), /^1 (.*\n)*.*conflict: f: changed in the base/);
    await world.sh('same_manifest before base');
    await world.on(['undo', '--ours']);
    t.equal(await world.sh('cat base/f base/g; ls base'), 'old\nold\nf\ng\n');
  }),
);

if (isRoot) {
  for (const point of ['staged-one', 'step:3', 'recorded']) {
    t.test(`killed at apply:${point} of the undo`, (t) =>
      inWorld(t, ROOT, async (world) => {
        await world.sh(BASE);
        await world.mount(['base', 'mnt']);
        await world.on(['save', 'start']);
        await world.sh(`manifest base > before; ${WORK}`);
        await world.on(['apply']);
        await world.sh('manifest base > after');
        await world.umount();
        await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: `apply:${point}` } });
        await world.refused(['undo', '-C', world.mnt]);
        await world.mount(['base', 'mnt']);
        const isBack = point !== 'staged-one';
        await world.sh(`same_manifest ${isBack ? 'before' : 'after'} base`);
        t.match(await world.on(['undo', '-n']), { direction: isBack ? 'forward' : 'back' });
        await world.on(['undo']);
        await world.sh(`same_manifest ${isBack ? 'after' : 'before'} base`);
        await world.sh('same_manifest before "$MNT/.snapshots/start"');
      }),
    );
  }
}
