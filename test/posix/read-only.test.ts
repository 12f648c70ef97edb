/**
 * Where nothing may be changed, every change is refused as on a plain
 * directory mounted read-only; and what a snapshot shows of a tree is what the
 * tree was, every metadatum.
 */
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { isRoot } from '../as-root.js';
import { eachDriver } from '../mount/driver-exceptions.js';
import type { World } from '../mount/harness.js';
import { type Line, runGroup } from './places.js';

const byCheck = (lines: Line[]): Map<string, unknown> =>
  new Map(lines.map(([check, result]) => [check, result]));

/** One assertion: what differs is listed. */
function compare(t: Test, expected: Line[], got: Line[], title: string): void {
  const answers = byCheck(got);
  const differences = expected.flatMap(([check, plain]) => {
    const here = answers.get(check);
    return isDeepStrictEqual(plain, here) ? [] : [{ check, plain, here }];
  });
  t.same(differences, [], `${title}: ${expected.length} answers`);
  t.equal(got.length, expected.length);
}

const succeeded = (result: unknown): boolean => ['ok', 0, true].includes(result as string);

/**
 * In a snapshot the order of errors is that of a writable mount, so only what
 * succeeds is compared. Opening for writing does: the first write is refused.
 */
function refusesAsMuch(t: Test, readOnly: Line[], snapshot: Line[]): void {
  const answers = byCheck(readOnly);
  const allowed = snapshot.filter(([check, results]) => {
    if (check.startsWith('opening ')) return false;
    const refused = [answers.get(check)].flat();
    return [results].flat().some((result, i) => succeeded(result) && !succeeded(refused[i]));
  });
  t.same(allowed, [], `${snapshot.length} answers: nothing more is allowed in a snapshot`);
}

const look = (world: World, dir: string): Promise<Line[]> =>
  runGroup(world, 'look', world.dir, [dir]);

eachDriver(t, 'changes are refused', async (t, world) => {
  const others =
    world.identity.uid === 0 && world.driver !== 'fuse-native' ? ['--allow-other'] : [];
  await world.sh('mkdir plain');
  const plain = world.path('plain');
  await runGroup(world, 'tree', plain);
  await world.mount(['--no-base', ...others, 'mnt']);
  await runGroup(world, 'tree', world.mnt);
  const before = await look(world, world.mnt);
  await world.on(['save', 's']);
  const inSnapshot = await runGroup(world, 'readonly', `${world.mnt}/.snapshots/s`);
  compare(t, before, await look(world, `${world.mnt}/.snapshots/s`), 'nothing was changed');
  await world.umount();
  await world.mount(['--no-base', '--ro', ...others, 'mnt']);
  const mounted = await runGroup(world, 'readonly', world.mnt);
  refusesAsMuch(t, mounted, inSnapshot);
  if (!isRoot) {
    t.comment('not compared with a plain directory: only root can mount one read-only');
    return;
  }
  await world.sh(`mount --bind ${plain} ${plain}; mount -o remount,bind,ro ${plain}`, { uid: 0 });
  const refused = await runGroup(world, 'readonly', plain);
  compare(t, refused, mounted, 'a read-only mount as a plain one');
});

eachDriver(t, 'a snapshot shows every metadatum', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  const { mnt } = world;
  await runGroup(world, 'tree', mnt);
  const live = await look(world, mnt);
  await world.on(['save', 's']);
  compare(t, live, await look(world, mnt), 'the live tree after a save');
  compare(t, live, await look(world, `${mnt}/.snapshots/s`), 'the snapshot');
  await world.sh('rm -rf "$MNT"/*; mkdir "$MNT/dir" "$MNT/file"');
  compare(t, live, await look(world, `${mnt}/.snapshots/s`), 'after everything was removed');
  await world.umount();
  await world.mount(['--no-base', 'mnt']);
  compare(t, live, await look(world, `${mnt}/.snapshots/s`), 'after a remount');
  await world.on(['restore', 's']);
  compare(t, live, await look(world, mnt), 'restored');
});

eachDriver(t, 'a view shows every metadatum of its base', async (t, world) => {
  await world.sh('mkdir base');
  await runGroup(world, 'tree', world.path('base'));
  const base = await look(world, world.path('base'));
  await world.mount(['base', 'mnt']);
  const { mnt } = world;
  const live = await look(world, mnt);
  const own = ([check]: Line): boolean => !/^access time|^content of .*sparse/.test(check);
  compare(t, base.filter(own), live.filter(own), 'the view');
  await world.on(['save', 's']);
  compare(t, live, await look(world, `${mnt}/.snapshots/s`), 'its snapshot');
  await world.sh('rm -rf "$MNT"/*');
  compare(t, live, await look(world, `${mnt}/.snapshots/s`), 'after everything was removed');
  await world.on(['restore', 's']);
  compare(t, live, await look(world, mnt), 'restored');
});
