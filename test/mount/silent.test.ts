/** Commands that look around, when a file system on their way never answers. */
import t from 'tap';
import { type Answer, identities, inWorld, ROOT } from './harness.js';

const user = identities().at(-1) ?? ROOT;
/** Longer than they wait for an answer. */
const IN_TIME_MS = 15_000;

t.test('a mount whose process is stopped hangs neither `volumes` nor `status`', (t) =>
  inWorld(t, user, async (world) => {
    const [silent, here, elsewhere] = [world.path('silent'), world.path('here'), world.path('at')];
    await world.sh('mkdir silent here at near; echo h > here/f; echo n > near/f');
    await world.mount(['--no-base', 'silent']);
    await world.sh('mkdir silent/dir; echo d > silent/dir/f');
    // The data of one volume lies there, and the directory of another.
    await world.mount(['here', '--volume', 'silent/vol']);
    await world.shadowfs(['save', 'one', '-C', here]);
    await world.umount(here);
    await world.mount(['silent/dir', 'at']);
    await world.umount(elsewhere);
    await world.mount(['near']);
    const listed = async (): Promise<Answer[]> => {
      const ran = await world.tryShadowfs(['volumes', '--json'], { timeoutMs: IN_TIME_MS });
      t.equal(ran.status, 0, ran.err);
      return ran.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Answer)
        .sort((a, b) => (String(a['directory']) < String(b['directory']) ? -1 : 1));
    };
    const pid = await world.daemonPid(silent);
    const inTime = { timeoutMs: IN_TIME_MS };
    process.kill(pid, 'SIGSTOP');
    try {
      const [volumes, ofMount, ofVolume, near] = await Promise.all([
        listed(),
        world.refused(['status', silent], inTime),
        world.refused(['status', here], inTime),
        world.shadowfs(['status', 'near'], inTime),
      ]);
      const problem = /silent \(fuse.shadowfs from .*\) does not answer/;
      t.match(volumes, [
        { directory: here, state: 'unreachable', problem, snapshotCount: 1, sizeBytes: Number },
        { directory: world.path('near'), state: 'mounted', problem: null },
        { directory: silent, state: 'mounted', problem: null },
        { directory: `${silent}/dir`, state: 'unreachable', problem },
      ]);
      t.match(ofMount, { code: 'no-answer', errno: 'ETIMEDOUT', mountpoint: silent });
      t.match(ofMount.message, new RegExp(`process ${pid} serves it, and is stopped`));
      t.match(ofVolume, { code: 'no-answer', mountpoint: silent });
      t.match(near, { mountpoint: world.path('near') }, 'others are not concerned');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    t.match(
      (await listed()).map(({ state }) => state),
      ['unmounted', 'mounted', 'mounted', 'unmounted'],
    );
    t.match(await world.shadowfs(['status', here]), { snapshotCount: 1, mountpoint: null });
  }),
);
