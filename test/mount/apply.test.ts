/**
 * The tree's changes brought into the base directory, on real mounts (rules
 * A1–A6): in place and beside, conflicts, refusals, and a kill at every
 * failpoint.
 */
import t from 'tap';
import { eachIdentity, inWorld, ROOT } from './harness.js';
import { isRoot } from '../as-root.js';

const WORK = `cd "$MNT" && echo two >> f && mv d e && rm e/x && mkdir n && echo new > n/new && \
  ln n/new n/link && ln -s f soft && chmod 600 g && rm gone && mkdir gone`;
const BASE =
  'mkdir -p base/d && cd base && echo one > f && echo x > d/x && echo y > d/y && echo g > g && echo z > gone';

eachIdentity(t, 'what apply -n lists is done, and the start stays', async (t, world) => {
  await world.sh(BASE);
  await world.mount(['base', 'mnt']);
  await world.on(['save', 'start']);
  await world.sh(`manifest base > before; ${WORK}`);
  const preview = await world.on(['apply', '-n']);
  t.match(preview['summary'], { removed: 2, renamed: 1 });
  await world.sh('same_manifest before base');
  t.match(await world.on(['apply']), { ok: true, summary: preview['summary'] });
  await world.sh('same_tree base "$MNT" && same_manifest before "$MNT/.snapshots/start"');
  t.match(await world.on(['apply']), { ok: true, items: [] });
  const typo = await world.refused(['apply', '-C', world.mnt, 'nothere']);
  t.match(typo, { code: 'no-such-file', message: /^nothere is neither in the tree nor/ });
  t.match(await world.on(['status']), { isApplied: true });
});

eachIdentity(t, 'a change of the base in the same place is a conflict', async (t, world) => {
  await world.sh(BASE);
  await world.mount(['base', 'mnt']);
  await world.sh('echo ours >> "$MNT/f"; echo ours > "$MNT/came"; rm "$MNT/g"; sleep 0.1');
  await world.sh('echo theirs >> base/f; echo theirs > base/came; echo theirs >> base/g');
  await world.sh('manifest base > before');
  const refused = await world.refused(['apply', '-C', world.mnt]);
  t.equal(refused.code, 'apply-conflict');
  const found = refused['conflicts'] as { path: string; base: string }[];
  t.same(
    found.map(({ path, base }) => [path, base]),
    [
      ['came', 'appeared'],
      ['f', 'changed'],
      ['g', 'changed'],
    ],
  );
  await world.sh('same_manifest before base');
  const { replaced, undo } = await world.on(['apply', '--ours']);
  const kept = (replaced as { path: string; isKept: boolean }[]).map((one) => [
    one.path,
    one.isKept,
  ]);
  t.same(kept, [
    ['came', true],
    ['f', true],
    ['g', true],
  ]);
  // The snapshot that the answer names has what others had made of it.
  await world.sh(`cd "$MNT/.snapshots/${String(undo)}"; test "$(cat came)" = theirs
    grep -q theirs f; grep -q theirs g; ! grep -q theirs "$MNT/f"`);
  // What an apply has made and others have changed since is in no snapshot.
  await world.sh('sleep 0.05; echo again >> base/f; echo ours again >> "$MNT/f"');
  const again = await world.refused(['apply', '-C', world.mnt]);
  t.match(again, { conflicts: [{ path: 'f', isKept: false }], message: /f: .* in no snapshot/ });
  t.match(await world.on(['apply', '--ours']), { replaced: [{ path: 'f', isKept: false }] });
  await world.sh('same_tree base "$MNT"');
});

const FAILPOINTS = ['journal-written:2', 'stored', 'staging', 'staged-one', 'switching', 'step:3'];
FAILPOINTS.push('switched', 'recorded');

if (isRoot) {
  for (const point of FAILPOINTS) {
    t.test(`killed at apply:${point}`, (t) =>
      inWorld(t, ROOT, async (world) => {
        await world.sh(BASE);
        await world.mount(['base', 'mnt'], { env: { SHADOWFS_FAILPOINT: `apply:${point}` } });
        await world.on(['save', 'start']);
        await world.sh(`manifest base > before; ${WORK}; true`);
        await world.refused(['apply', '-C', world.mnt]);
        await world.mount(['base', 'mnt']);
        const kept = 'same_manifest before "$MNT/.snapshots/start"';
        await world.sh(`${kept} && (same_tree base "$MNT" || same_manifest before base)`);
        await world.on(['apply']);
        await world.sh(`${kept} && same_tree base "$MNT"`);
      }),
    );
  }
}
