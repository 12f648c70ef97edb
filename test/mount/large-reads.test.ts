/** Large files, cold, read by several at once, here and there and in order: of the volume and of the base. */
import t from 'tap';
import { asUser } from './harness.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const LONG_MS = 120_000;

const READERS = `python3 -c "
import os, random, sys
whole = open('whole', 'rb').read()
readers = []
for k in range(6):
    pid = os.fork()
    if pid == 0:
        r = random.Random(${SEED} + k)
        fd = os.open('$MNT/%s' % ('file', 'below')[k % 2], os.O_RDONLY)
        bad = 0
        for i in range(120):
            inOrder = k // 2 == 0
            at = i * 131072 if inOrder else r.randrange(len(whole))
            length = 131072 if inOrder else r.choice([1, 4096, 50000, 400000])
            bad += os.pread(fd, length, at) != whole[at:at + length]
        os._exit(bad != 0)
    readers.append(pid)
print([os.waitpid(pid, 0)[1] for pid in readers].count(0))"`;

/** What is not dirty leaves the page cache. */
const COOL = `python3 -c "
import os
for name in ['vol/data.mdb', 'base/below']:
    fd = os.open(name, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)"`;

asUser(t, 'large files, cold, several readers', async (t, world) => {
  t.comment(`SEED=${SEED}`);
  await world.sh('mkdir -p base; head -c 12000000 /dev/urandom > whole; cp whole base/below');
  await world.mount(['base', 'mnt', '--volume', 'vol']);
  await world.sh('cp whole "$MNT/file"');
  await world.umount();
  for (let turn = 0; turn < 3; turn++) {
    await world.sh(COOL);
    await world.mount(['base', 'mnt', '--volume', 'vol']);
    t.equal(await world.sh(READERS, { timeoutMs: LONG_MS }), '6\n', `turn ${turn}`);
    t.equal(
      await world.sh('cmp whole "$MNT/file" && cmp whole "$MNT/below" && echo same'),
      'same\n',
    );
    // Changed here and there, the rest still comes from where it was.
    await world.sh(`python3 -c "
import os, random
r = random.Random(${SEED} + ${turn})
files = [os.open(name, os.O_RDWR) for name in ('whole', '$MNT/file', '$MNT/below')]
for i in range(40):
    at = r.randrange(11900000)
    piece = r.randbytes(r.choice([10, 5000, 70000]))
    for fd in files: os.pwrite(fd, piece, at)"`);
    await world.umount();
  }
  await world.check(['--volume', 'vol']);
});
