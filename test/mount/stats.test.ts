/** `stats` and `trace` on a mount: counts of known calls, a named file's requests, who may look. */
import t from 'tap';
import { isRoot } from '../as-root.js';
import { asUser, eachIdentity, isNative, NOBODY, pause } from './harness.js';

interface Figures {
  name: string;
  count: number;
}

asUser(t, 'counts after known calls', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh('echo reset > "$MNT/.control/stats"');
  await world.sh('for i in 1 2 3 4 5; do mkdir "$MNT/d$i"; printf 12345 > "$MNT/d$i/f"; done');
  await world.sh('rmdir "$MNT/d1"; rm "$MNT/d2/f"', {}).catch(() => undefined);
  const report = await world.shadowfs(['stats', world.mnt]);
  const counts = new Map((report['requests'] as Figures[]).map(({ name, count }) => [name, count]));
  t.equal(counts.get('MKDIR'), 5);
  t.equal(counts.get('WRITE'), 5);
  t.equal(report['writtenBytes'], 25);
  t.equal(report['loop'] === null, isNative);
  t.match(
    (await world.tryShadowfs(['stats', world.mnt])).out,
    /^OPERATION +COUNT[\s\S]*MKDIR +5 /m,
  );
  await world.tryShadowfs(['stats', '--reset', world.mnt]);
  const after = await world.shadowfs(['stats', world.mnt]);
  t.notOk(
    (after['requests'] as Figures[]).some(({ name }) => name === 'MKDIR'),
    'reset',
  );
  t.equal((await world.trySh('echo x > "$MNT/.control/stats"')).status, 1, 'nothing else');
});

asUser(t, 'a trace shows the requests of a named file', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  await world.sh('mkdir "$MNT/dir"; echo other > "$MNT/dir/other"');
  const words = ['trace', world.mnt, '--path', 'dir/nam*', '--op', 'MKDIR', '--count', '1'];
  const traced = world.tryShadowfs([...words, '--json'], { timeoutMs: 50_000 });
  // It may take a while until it listens.
  let isDone = false;
  void traced.then(() => (isDone = true));
  for (let n = 0; n < 100 && !isDone; n++) {
    await world.sh(`mkdir "$MNT/dir/other${n}" "$MNT/dir/named${n}"`);
    await pause(200);
  }
  const { status, out } = await traced;
  t.equal(status, 0);
  t.match(JSON.parse(out), { op: 'MKDIR', path: /^dir\/named\d+$/, errno: null, tookMs: Number });
});

if (isRoot) {
  eachIdentity(t, 'a stranger may not trace', async (t, world) => {
    await world.mount(['--no-base', 'mnt']);
    const { controlFiles } = await world.on(['status']);
    const uid = world.identity.uid === NOBODY.uid ? 12345 : NOBODY.uid;
    const ran = await world.trySh(`cat "${String(controlFiles)}/trace"`, { uid });
    t.equal(ran.status, 1);
    t.match(ran.err, /Permission denied/);
  });
} else {
  t.comment('did not run, it needs root: a stranger may not trace');
}
