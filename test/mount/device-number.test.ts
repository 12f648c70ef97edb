/**
 * The kernel gives the device number of a mount that is gone to the next one. A
 * process that ends after that must leave the next one alone.
 */
import t, { type Test } from 'tap';
import { inWorld, ROOT, type World } from './harness.js';
import { isRoot } from '../as-root.js';

const TRIES = 10;

/**
 * The kernel takes the lowest number that is free. So: a number below the first mount's is kept for
 * the second one's control files, and every other one below it is taken.
 */
const OCCUPY = `
  n=0
  while :; do
    mkdir -p "fill/$n" && mount -t tmpfs none "fill/$n"
    [ "$(stat -c %d "fill/$n")" -gt "$(stat -c %d mnt)" ] && break
    n=$((n + 1))
  done`;

/** Mounts \`second\` with the device number that the first mount had; false: somebody else got it. */
async function takeOver(world: World, pid: number): Promise<boolean> {
  const device = (await world.sh(`${OCCUPY}; stat -c %d mnt`)).trim();
  process.kill(pid, 'SIGSTOP');
  await world.sh('umount -l -c -i "$MNT"; umount kept');
  await world.mount(['--no-base', 'second']);
  return (await world.sh('stat -c %d second')).trim() === device;
}

async function outlives(t: Test, signal: NodeJS.Signals | undefined): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    let isTaken = false;
    await inWorld(t, ROOT, async (world) => {
      await world.sh('mkdir kept second; mount -t tmpfs none kept');
      await world.mount(['--no-base', 'mnt']);
      await world.sh('echo stored > "$MNT/file"');
      const pid = await world.daemonPid();
      try {
        isTaken = await takeOver(world, pid);
        if (signal !== undefined) process.kill(pid, signal);
      } finally {
        process.kill(pid, 'SIGCONT');
        await world.sh(`wait_for test ! -e /proc/${pid}`);
        await world.sh('for at in fill/* kept; do umount "$at" 2> /dev/null || true; done');
      }
      await world.sh('echo alive > second/file; mountpoint -q second; cat second/file');
      await world.mount(['--no-base', 'mnt']);
      t.equal(await world.sh('cat "$MNT/file"'), 'stored\n');
    });
    if (isTaken) return;
  }
  t.fail(`in ${TRIES} tries another mount always took the number first`);
}

if (isRoot) {
  t.test('unmounted by others', (t) => outlives(t, undefined));
  t.test('unmounted by others, and ended by a signal', (t) => outlives(t, 'SIGTERM'));
}
