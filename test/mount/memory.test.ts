/**
 * Memory is bounded: after much work every pool is within the bound that
 * native-notes/memory.md gives, and nodes above a (small) limit are forgotten
 * by the kernel without anything that is in use being lost.
 */
import t, { type Test } from 'tap';
import { asUser, eachIdentity, isNative, pause, type World } from './harness.js';
import { Holder, Shell } from './puppets.js';

const MIB = 2 ** 20;
const NODES_MAX = 400;
/** Asked to forget, the kernel takes a moment; meanwhile others come in. */
const SETTLE_TRIES = 50;

interface Report {
  nodes: { live: number; special: number; asked: number };
  caches: {
    name: string;
    count?: number;
    maxCount?: number;
    sizeBytes?: number;
    maxBytes?: number;
  }[];
  memory: { heapTotalBytes: number; externalBytes: number };
}

async function report(world: World): Promise<Report> {
  return (await world.shadowfs(['stats', world.mnt])) as unknown as Report;
}

const MAKE = `
import os
for d in range(20):
    os.mkdir(f'd{d}')
    for i in range(100):
        with open(f'd{d}/f{i}', 'w') as f: f.write(f'{d} {i}')
`;

const READ = `
import os, sys
for d in range(20):
    for i in range(100):
        with open(f'{"".join(sys.argv[1:])}d{d}/f{i}') as f: assert f.read() == f'{d} {i}', (d, i)
print(len([n for d in range(20) for n in os.listdir(f'd{d}')]))
`;

async function python(world: World, script: string, ...words: string[]): Promise<string> {
  return await world.sh(`cd "$MNT"; python3 - ${words.join(' ')} <<'END'\n${script}\nEND`);
}

/** Until the kernel has forgotten what it was asked to. */
async function settled(t: Test, world: World, which: 'live' | 'special'): Promise<void> {
  let known = Number.POSITIVE_INFINITY;
  for (let i = 0; i < SETTLE_TRIES && known > NODES_MAX + NODES_MAX / 8; i++) {
    known = (await report(world)).nodes[which];
    await pause(100);
    // Whatever is looked up next has the rest asked for.
    await world.trySh(`ls "$MNT/d0/f${i}" "$MNT/.snapshots/s/d0/f${i}"`);
  }
  t.ok(known <= NODES_MAX + NODES_MAX / 8, `${known} ${which} nodes`);
}

async function forgets(t: Test, world: World, pretence: string): Promise<void> {
  world.env['SHADOWFS_KERNEL'] = pretence;
  await world.mount(['--no-base', 'mnt']);
  await world.sh('mkdir -p "$MNT/work/below"; echo kept > "$MNT/work/open"');
  const shell = new Shell(world, { cwd: `${world.mnt}/work/below` });
  const holder = new Holder(world, { cwd: world.mnt });
  const fd = await holder.open('work/open', 2);
  await python(world, MAKE);
  await settled(t, world, 'live');
  t.equal(await python(world, READ, ''), '2000\n');
  await world.sh('find "$MNT" -size +100 >/dev/null; echo s > "$MNT/.control/save"');
  t.equal(await python(world, READ, '.snapshots/s/'), '2000\n', 'below a snapshot, too');
  await settled(t, world, 'special');
  await settled(t, world, 'live');
  t.equal(
    await shell.run('pwd; touch here; ls; cat ../open'),
    `${world.mnt}/work/below here kept `,
  );
  t.equal(await holder.pread(fd, 0, 4), 'kept');
  t.equal(await holder.pwrite(fd, 0, 'KEPT'), 4);
  t.equal(await world.sh('cat "$MNT/work/open"'), 'KEPT\n');
  t.ok((await report(world)).nodes.asked > 2 * (2000 - NODES_MAX) * 0.8);
  await shell.end();
  await holder.end();
}

if (isNative) {
  t.comment(
    'NOT RUN: under the fuse-native driver libfuse keeps the nodes; it has no limits to set',
  );
} else {
  eachIdentity(t, 'too many nodes are forgotten', (t, world) =>
    forgets(t, world, `nodesMax=${NODES_MAX}`),
  );
  asUser(t, 'too many nodes are forgotten, where PRUNE is not known', (t, world) =>
    forgets(t, world, `nodesMax=${NODES_MAX},prune=off`),
  );
}

asUser(t, 'every pool stays within its bound', async (t, world) => {
  await world.sh('mkdir base; for i in $(seq 300); do echo $i > base/b$i; done');
  await world.mount(['base', 'mnt']);
  await python(world, MAKE);
  await world.sh(
    'cd "$MNT"; head -c 60000000 /dev/zero > big; cat b* > /dev/null; mkdir copy; cp -r d1 d2 d3 copy',
  );
  await world.sh(
    'echo s > "$MNT/.control/save"; cd "$MNT"; rm -r d1 d2; echo s > .control/restore',
  );
  t.equal(await python(world, READ, ''), '2000\n');
  t.equal(await python(world, READ, '.snapshots/s/'), '2000\n');
  const { caches, memory } = await report(world);
  for (const { name, count, maxCount, sizeBytes, maxBytes } of caches) {
    const [has = 0, most] = sizeBytes === undefined ? [count, maxCount] : [sizeBytes, maxBytes];
    if (most !== undefined) t.ok(has <= most, `${name}: ${has} of ${most}`);
  }
  const table = caches.find(({ name }) => name === 'table of nodes');
  t.ok((table?.sizeBytes ?? 0) < MIB, 'the table of nodes is as small as its content');
  t.ok(memory.heapTotalBytes < 128 * MIB, `heap of ${memory.heapTotalBytes}`);
  t.ok(memory.externalBytes < 128 * MIB, `buffers of ${memory.externalBytes}`);
});
