/** What a save holds while programs write, and many commands at once. */
import t from 'tap';
import { eachSetting, testSeed } from './harness.js';
import { Holder } from './puppets.js';

const O_RDWR_CREAT = 0o102;
const SEED = testSeed(t);

eachSetting(t, 'a save holds every write that had returned', async (t, world) => {
  await world.sh('mkdir base; seq 100000 > base/old');
  await world.mount(['base', 'mnt']);
  const holder = new Holder(world, { cwd: world.mnt });
  const fresh = await holder.open('fresh', O_RDWR_CREAT);
  const old = await holder.open('old', 2);
  const mapped = await holder.open('mapped', O_RDWR_CREAT);
  await holder.ftruncate(mapped, 1_000_000);
  await holder.mmap(mapped, 1_000_000, true);
  for (let round = 0; round < 8; round++) {
    const mark = `round ${round} `;
    for (let n = 0; n < 40; n++) {
      await holder.pwrite(fresh, n * 50_000 + round * 7, mark);
      await holder.pwrite(old, n * 10_000 + round * 3, mark);
      await holder.mwrite(mapped, n * 20_000, mark);
    }
    const size = await holder.size(fresh);
    await world.on(['save', `s${round}`]);
    // Later writes are none of its business.
    await holder.pwrite(fresh, 0, 'after the save');
    await holder.pwrite(old, 20_000, 'after the save');
    const out = await world.sh(`python3 -c "
import os
d = '$MNT/.snapshots/s${round}/'
mark = b'${mark}'
bad = []
for name, step, shift in (('fresh', 50000, ${round * 7}), ('old', 10000, ${round * 3}), ('mapped', 20000, 0)):
    data = open(d + name, 'rb').read()
    for n in range(40):
        at = n * step + shift
        if data[at:at + len(mark)] != mark: bad.append((name, n, data[at:at + len(mark)]))
print(bad, os.path.getsize(d + 'fresh'))"`);
    t.equal(out, `[] ${size}\n`, mark);
  }
  await holder.end();
});

eachSetting(t, 'a save under a stream of writes is a moment of it', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  // Each round writes the same number to file after file: a snapshot's numbers only ever fall.
  const writer = world.trySh(`cd "$MNT"; python3 -c "
import os
files = [os.open('f%02d' % i, os.O_RDWR | os.O_CREAT) for i in range(20)]
os.mkdir('ready')
n = 0
while os.path.exists('ready'):
    n += 1
    for f in files: os.pwrite(f, b'%09d' % n * 500, 0)
    if n % 10 == 0: os.rename('g', 'h') if os.path.exists('g') else os.close(os.open('g', os.O_CREAT))
print(n)"`);
  await world.sh('wait_for test -d "$MNT/ready"');
  for (let n = 0; n < 5; n++) await world.on(['save', `s${n}`]);
  await world.sh('rmdir "$MNT/ready"');
  t.ok(Number((await writer).out) > 10);
  const out = await world.sh(`cd "$MNT/.snapshots"; python3 -c "
import os
for s in range(5):
    d = 's%d/' % s
    texts = [open(d + f).read() for f in sorted(os.listdir(d)) if f[0] == 'f']
    whole = all(len(set(t[i:i+9] for i in range(0, 4500, 9))) <= 2 and len(t) in (0, 4500) for t in texts)
    print(len(texts), whole)"`);
  t.equal(out, '20 True\n'.repeat(5));
});

eachSetting(t, 'save and restore from eight processes at once', async (t, world) => {
  await world.sh('mkdir base; for i in $(seq 20); do seq $i 2000 > base/f$i; done');
  await world.mount(['base', 'mnt']);
  const runs = await Promise.all(
    [...Array(8).keys()].map((n) =>
      world.trySh(
        `cd "$MNT"; RANDOM=$(( (16#${SEED} + ${n}) % 32768 ))
          for i in $(seq 12); do
            echo "${n} $i" > f$((RANDOM % 20 + 1)); echo x > new${n}-$i
            case $((RANDOM % 4)) in
              0) echo "p${n}-$i" > .control/save ;;
              1) mkdir .snapshots/m${n}-$i ;;
              2) s=$(ls .snapshots | shuf -n 1 --random-source=<(yes $RANDOM)); [ -z "$s" ] || echo "$s" > .control/restore ;;
              3) s=$(ls .snapshots | grep -v undo | head -n 1); [ -z "$s" ] || echo "$s" > .control/delete ;;
            esac
          done; echo done`,
        { timeoutMs: 120_000 },
      ),
    ),
  );
  // Between a listing and the command another process may have taken the name away.
  const known = /No such file|Stale file handle|Invalid argument|File exists|^$/;
  const errors = runs.flatMap(({ err }) => err.split('\n')).filter((line) => !known.test(line));
  t.same(errors, [], 'no error but the documented ones');
  t.same(
    runs.map(({ out }) => out),
    Array(8).fill('done\n'),
  );
  const history = (await world.tryShadowfs(['history', '-n', '1000', '-C', world.mnt, '--json']))
    .out;
  t.ok(history.split('\n').length > 20, `${history.split('\n').length} commands`);
  await world.check();
  await world.sh('cd "$MNT"; for s in $(ls .snapshots); do cat .snapshots/$s/f1 > /dev/null; done');
});

eachSetting(t, 'a snapshot has the times of direct writes', async (t, world) => {
  await world.mount(['--no-base', 'mnt']);
  // Whatever writes out the times, and when: before a write arrives, or after it.
  const out = await world.sh(`python3 -c "
import mmap, os, threading
os.chdir('$MNT')
page, fd, is_over = mmap.mmap(-1, 4096), os.open('f', os.O_RDWR | os.O_CREAT | os.O_DIRECT), False
def sync():
    while not is_over: os.sync()
others = [threading.Thread(target=sync) for _ in range(2)]
for other in others: other.start()
different = []
for n in range(30):
    for at in range(20): os.pwritev(fd, [page], at % 7 * 4096)
    live = os.fstat(fd)
    with open('.control/save', 'w') as save: save.write('s%d\\n' % n)
    kept = os.stat('.snapshots/s%d/f' % n)
    if (live.st_mtime_ns, live.st_ctime_ns) != (kept.st_mtime_ns, kept.st_ctime_ns): different.append(n)
is_over = True
for other in others: other.join()
print(different)"`);
  t.equal(out.trim(), '[]');
});
