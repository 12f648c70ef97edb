/**
 * The kernel gives the device number of a mount that is gone to the next one. A
 * process that ends after that must leave the next one alone.
 */
import t, { type Test } from 'tap';
import { inWorld, ROOT } from './harness.js';
import { isRoot } from '../as-root.js';

const TRIES = 10;

/**
 * Prints yes if the next mount got the number of the first one, which is unmounted behind the back
 * of its process. The kernel takes the lowest number that is free, so every one below is taken
 * before. A server that never answers is enough for the next one, and is there at once: a real one
 * takes a second, in which any other mount of this machine may take the number.
 */
const TAKE_OVER = `
  number() { awk -v at="$PWD/$1" '$5 == at { sub("0:", "", $3); print $3 }' /proc/self/mountinfo; }
  n=0
  while :; do
    mkdir -p "fill/$n" && mount -t tmpfs none "fill/$n"
    [ "$(number "fill/$n")" -gt "$(number mnt)" ] && break
    n=$((n + 1))
  done
  wanted=$(number mnt)
  kill -STOP "$DAEMON"
  umount -l -c -i mnt
  exec 7<> /dev/fuse
  mount -i -t fuse.shadowfs -o fd=7,rootmode=40000,user_id=0,group_id=0 shadowfs second
  [ "$(number second)" = "$wanted" ] && echo yes`;

async function outlives(t: Test, signal: NodeJS.Signals | undefined): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    let isTaken = false;
    await inWorld(t, ROOT, async (world) => {
      await world.sh('mkdir second');
      await world.mount(['--no-base', 'mnt']);
      await world.sh('echo stored > "$MNT/file"');
      const pid = await world.daemonPid();
      try {
        isTaken = (await world.sh(`DAEMON=${pid}; ${TAKE_OVER}; true`)) === 'yes\n';
        if (signal !== undefined) process.kill(pid, signal);
      } finally {
        process.kill(pid, 'SIGCONT');
        await world.sh(`wait_for test ! -e /proc/${pid}`);
        await world.sh('for at in fill/*; do umount "$at" 2> /dev/null || true; done');
      }
      const others = await world.sh('grep -c " $PWD/second " /proc/self/mountinfo || true');
      t.equal(others.trim(), '1', 'the mount of others is left alone');
      await world.sh('umount -l -i second');
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
