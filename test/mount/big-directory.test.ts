/** A directory of 200,000 entries lists completely while others come and go. */
import t from 'tap';
import { identities, inWorld, NOBODY } from './harness.js';

const as = identities()[0] ?? NOBODY;
const LONG_MS = 240_000;
const IN_BASE = 150_000;
const ADDED = 50_000;

t.test('a directory of 200,000 entries', (t) =>
  inWorld(t, as, async (world) => {
    const create = (dir: string, from: number, to: number): Promise<string> =>
      world.sh(
        `python3 -c "
import os
os.chdir('${dir}')
for n in range(${from}, ${to}): os.close(os.open('stable-%06d' % n, os.O_CREAT | os.O_WRONLY))"`,
        { timeoutMs: LONG_MS },
      );
    await world.sh('mkdir -p base/d');
    await create('base/d', 0, IN_BASE);
    await world.mount(['base', 'mnt']);
    let startMs = Date.now();
    await create(`${world.mnt}/d`, IN_BASE, IN_BASE + ADDED);
    t.comment(`${ADDED} files made in ${Date.now() - startMs} ms`);
    startMs = Date.now();
    t.equal(
      await world.sh('ls -f "$MNT/d" | grep -c stable', { timeoutMs: LONG_MS }),
      `${IN_BASE + ADDED}\n`,
    );
    t.comment(`listed in ${Date.now() - startMs} ms`);
    await world.on(['save', 'all']);

    // Others come and go while it is listed again and again.
    const busy = world.trySh(
      `python3 -c "
import os
os.chdir('$MNT/d')
n = 0
while os.path.exists('../busy'):
    n += 1
    os.close(os.open('other-%d' % n, os.O_CREAT | os.O_WRONLY))
    if n % 15 == 3: os.unlink('other-%d' % (n - 1))
    if n % 5 == 0: os.rename('other-%d' % n, 'moved-%d' % n)
print(n)"`,
      { timeoutMs: LONG_MS },
    );
    await world.sh('touch "$MNT/busy"');
    const out = await world.sh(
      `python3 -c "
import collections, os
for turn in range(3):
    seen = collections.Counter(e.name for e in os.scandir('$MNT/d') if e.name.startswith('stable'))
    print(len(seen), max(seen.values()))
os.unlink('$MNT/busy')"`,
      { timeoutMs: LONG_MS },
    );
    t.equal(out, `${IN_BASE + ADDED} 1\n`.repeat(3), 'every name that stayed, exactly once');
    const made = await busy;
    t.ok(Number(made.out) > 100, `${made.out.trim()} others were made meanwhile ${made.err}`);

    await world.sh('cd "$MNT"; rm d/stable-00*; mv d renamed', { timeoutMs: LONG_MS });
    t.equal(
      await world.sh('ls "$MNT"; ls -f "$MNT/.snapshots/all/d" | grep -c stable', {
        timeoutMs: LONG_MS,
      }),
      `renamed\n${IN_BASE + ADDED}\n`,
    );
    const restored = await world.on(['restore', 'all']);
    t.comment(`restored: ${JSON.stringify(restored)}`);
    t.equal(
      await world.sh('ls -f "$MNT/d" | grep -c stable', { timeoutMs: LONG_MS }),
      `${IN_BASE + ADDED}\n`,
    );
  }),
);
