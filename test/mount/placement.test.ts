/** The serving thread shares a processor with a program that is alone, and lets go of it afterwards. */
import fs from 'node:fs';
import t from 'tap';
import { allowedCpus } from '../../src/libc/scheduling.js';
import { eachIdentity, isNative } from './harness.js';

const cpus = allowedCpus();

/** On how many processors each thread of the process may run. */
function widths(pid: number): number[] {
  const tasks = `/proc/${pid}/task`;
  return fs.readdirSync(tasks).map((tid) => {
    try {
      const status = fs.readFileSync(`${tasks}/${tid}/status`, 'utf8');
      const mask = /^Cpus_allowed:\s*([0-9a-f,]+)/m.exec(status)?.[1] ?? '';
      return BigInt(`0x${mask.replaceAll(',', '')}`)
        .toString(2)
        .replaceAll('0', '').length;
    } catch {
      return cpus.length; // It has ended.
    }
  });
}

/** The thread that keeps the other processor from looking idle stays on one. */
const tied = (pid: number): number => widths(pid).filter((width) => width === 1).length;

eachIdentity(t, 'a program that is alone, then two, then none', async (t, world) => {
  await world.mount(['--no-base', world.mnt]);
  const pid = await world.daemonPid();
  const calls = (ms: number): Promise<unknown> =>
    world.sh(
      `python3 -c "
import os, time
fd = os.open('$MNT', os.O_RDONLY)
end = time.monotonic() + ${ms} / 1000
while time.monotonic() < end: os.fstatvfs(fd)"`,
    );
  const seen = new Set<number>();
  const watch = setInterval(() => seen.add(tied(pid)), 5);
  await calls(1_500);
  clearInterval(watch);
  t.comment(`${cpus.length} processors; tied threads seen: ${[...seen].sort().join(', ')}`);
  if (cpus.length !== 2 || isNative) t.same([...seen], [0], 'nothing is tied');
  await Promise.all([calls(300), calls(300)]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  // Asleep until the next request, the serving thread is where the last one left it.
  await world.sh('sleep 0.1; ls "$MNT"');
  t.ok(tied(pid) <= 1, 'only the one that occupies is left in its place');
  await world.check();
});
