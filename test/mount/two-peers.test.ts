/** The tour of a standby, a failover and the way back shows what it should, and leaves nothing behind. */
import fs from 'node:fs';
import t from 'tap';
import { asUser } from './harness.js';

const TOUR_MS = 180_000;

asUser(t, 'mount-scripts/two-peers', async (t, world) => {
  const script = `${world.checkout}/mount-scripts/two-peers`;
  const ran = await world.run(['bash', script], { timeoutMs: TOUR_MS });
  t.match(ran, { status: 0, out: /Every step showed what it should\./ });
  t.notMatch(ran.out, /NOT AS EXPECTED/);
  // Step by step, each with a command that a person can give.
  for (const command of ['peer invite', 'peer join', 'promote', 'demote --peer', 'switchover']) {
    t.match(ran.out, `$ shadowfs ${command}`);
  }
  t.same(
    fs.readdirSync(world.path('home')).filter((name) => name.startsWith('shadowfs-two-peers')),
    [],
    'nothing is left',
  );
  t.match(await world.run(['bash', script, '--wrong']), { status: 2, err: /usage/ });
});

asUser(t, 'mount-scripts/two-peers --keep', async (t, world) => {
  const script = `${world.checkout}/mount-scripts/two-peers`;
  const ran = await world.run(['bash', script, '--keep'], { timeoutMs: TOUR_MS });
  t.match(ran, { status: 0, out: /Left mounted/ });
  const dir = /cd (\/\S*shadowfs-two-peers\.\w+);/.exec(ran.out)?.[1] ?? '';
  for (const name of ['one', 'two']) {
    t.match(await world.sh(`cat ${dir}/${name}/letters/4`), 'letter 4, not sent');
  }
});
