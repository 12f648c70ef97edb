/** Warnings before a disk or a quota is full: levels, words, and that each is told once. */
import t from 'tap';
import type { Answer } from '../../../src/control/command.js';
import { fillLevels, fillProblems, NOT_FULL } from '../../../src/daemon/commands/filling.js';
import { SpaceWatch } from '../../../src/daemon/commands/space-watch.js';
import type { VolumeSpace } from '../../../src/volume/readable-volume.js';

const GIB = 1024 ** 3;

/** A disk of 100 GiB, so much of it used; of a quota of 11 GiB, of which 1 is kept. */
function spaceOf(diskPercent: number, quotaUsed?: number): VolumeSpace {
  return {
    usedBytes: (quotaUsed ?? 1) * GIB,
    freeBytes: 5 * GIB,
    quotaBytes: quotaUsed === undefined ? 0 : 11 * GIB,
    aheadBytes: GIB / 2,
    lentBytes: 0,
    reserveBytes: GIB,
    diskBytes: 100 * GIB,
    diskFreeBytes: (100 - diskPercent) * GIB,
  };
}

t.test('problems name what would help', async (t) => {
  const problems = (space: VolumeSpace) => fillProblems(space, fillLevels(space, NOT_FULL));
  t.same(problems(spaceOf(79.9, 7.9)), []);
  t.match(problems(spaceOf(80)), [
    {
      code: 'disk-filling',
      severity: 'notice',
      message:
        /is 80 % full, 20G are free; .* can take 5\.0G more.*512M.*shadowfs space .*delete or prune .*shadowfs compact gives/,
    },
  ]);
  t.match(problems(spaceOf(96, 9)), [
    { code: 'disk-filling', severity: 'critical' },
    {
      code: 'quota-filling',
      severity: 'warning',
      message: /^90 % of the quota of 11G.*quota=SIZE/,
    },
  ]);
  t.same(problems({ ...spaceOf(0), diskBytes: 0, diskFreeBytes: 0 }), [], 'a disk nobody knows');
  t.match(problems({ ...spaceOf(1, 1), quotaBytes: GIB / 2 }), [], 'a quota below the reserve');
});

t.test('each level is told once, and nothing flutters', async (t) => {
  let space = spaceOf(50);
  const told: (number | null)[] = [];
  const logged: string[] = [];
  const timers: (() => void)[] = [];
  const watch = new SpaceWatch({
    space: () => space,
    look: () => undefined,
    later: (_delayMs, run) => void timers.push(run),
    tell: (event: Answer) => void told.push(event['percent'] as number | null),
    log: (line) => void logged.push(line),
  });
  watch.start();
  const at = (percent: number): void => {
    space = spaceOf(percent);
    timers.shift()?.();
  };
  for (const percent of [79, 81, 79, 81, 80, 89, 91, 88, 92, 96, 99, 93, 96]) at(percent);
  t.same(told, [80, 90, 95]);
  for (const percent of [91, 84, 78, 81]) at(percent);
  t.same(told, [80, 90, 95], 'going down through the levels says nothing');
  t.match(watch.problems(), [{ code: 'disk-filling', severity: 'notice' }]);
  at(76);
  t.same(told, [80, 90, 95, null]);
  at(81);
  t.same(told, [80, 90, 95, null, 80]);
  t.equal(logged.length, told.length, 'the log has the same');
  t.equal(timers.length, 1, 'it goes on looking');
});
