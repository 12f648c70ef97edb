/** Single cases of the volume that random work meets seldom, each on a model as well. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import t from 'tap';
import { TABLE } from '../../src/format/records/tables.js';
import { S_IFDIR, S_IFREG } from '../../src/lib/file-mode.js';
import { allocate } from '../../src/tree/live/space.js';
import { makeBase } from './base-tree.js';
import { compareAll } from './compare.js';
import { Random } from './random.js';
import { countRecords, garbage, layerNumbers } from './store-scan.js';
import { BLOCK, VolumeRun } from './volume-run.js';

type Test = Pick<typeof t, 'teardown'>;

const ROOT = 1;
const WHO = { uid: 0, gid: 0 };
const KIB = 1024;
const bytes = new Random(1);

function start(t: Test, options: ConstructorParameters<typeof VolumeRun>[0] = {}): VolumeRun {
  const run = new VolumeRun(options);
  t.teardown(() => run.dispose());
  return run;
}

function startOverBase(t: Test): VolumeRun {
  const base = makeBase(new Random(7));
  t.teardown(() => rmSync(base, { recursive: true }));
  return start(t, { base });
}

/** Everything agrees now, after storing, after collecting and after opening again. */
function settle(run: VolumeRun): void {
  const compare = (): void => compareAll(run);
  compare();
  run.flush();
  compare();
  run.check();
  // What an open layer hides of the layers below is only looked for now and then.
  run.save(`settled ${run.volume.live.top}`);
  run.collectAll();
  compare();
  run.check();
  assert.deepEqual(garbage(run.volume.core.reader, BLOCK), [], 'D13: nothing is left');
  run.reopen();
  compare();
}

function make(run: VolumeRun, name: string, directory = ROOT, mode = S_IFREG | 0o644): number {
  run.change(
    name,
    (model) => model.create(WHO, directory, name, { mode }, run.realInode),
    () => run.volume.create(WHO, directory, name, { mode }).ino,
  );
  return run.model.live.get(directory)?.names.get(name) as number;
}

function write(run: VolumeRun, ino: number, offset: number, data: Buffer): void {
  run.change(
    'write',
    (model) => model.write(ino, offset, data, run.real),
    () => run.volume.write(ino, offset, data),
  );
}

function truncate(run: VolumeRun, ino: number, size: number): void {
  run.change(
    'truncate',
    (model) => model.setAttributes(ino, { size }, run.real),
    () => run.volume.setAttributes(ino, { size }),
  );
}

function unlink(run: VolumeRun, name: string, held = false, directory = ROOT): void {
  run.change(
    'unlink',
    (model) => model.unlink(directory, name, () => held, run.real),
    () => run.volume.unlink(directory, name, () => held),
  );
}

function release(run: VolumeRun, ino: number): void {
  run.change(
    'release',
    (model) => model.release(ino, run.real),
    () => run.volume.release(ino),
  );
}

function link(run: VolumeRun, ino: number, directory: number, name: string): void {
  run.change(
    'link',
    (model) => model.link(ino, directory, name, run.real),
    () => run.volume.link(ino, directory, name),
  );
}

function rename(
  run: VolumeRun,
  from: number,
  name: string,
  to: number,
  newName: string,
  how: 'plain' | 'exchange',
): void {
  const unused = (): boolean => false;
  run.change(
    'rename',
    (model) => model.rename(from, name, to, newName, how, unused, run.real),
    () => run.volume.rename(from, name, to, newName, how === 'exchange' ? 2 : 0, unused),
  );
}

t.test('D4: what two truncations in later layers hide does not come back', (t) => {
  const run = start(t);
  const file = make(run, 'f');
  write(run, file, 0, bytes.bytes(1024 * KIB));
  run.save('one');
  truncate(run, file, 0);
  truncate(run, file, 1024 * KIB);
  write(run, file, 700 * KIB, bytes.bytes(100 * KIB));
  run.save('two');
  truncate(run, file, 600 * KIB);
  truncate(run, file, 1024 * KIB);
  settle(run);
  t.end();
});

t.test('D4: write, truncate, extend, write within one layer, stored in between or not', (t) => {
  for (const between of [
    () => {},
    (run: VolumeRun) => run.commit(),
    (run: VolumeRun) => run.flush(),
  ]) {
    const run = start(t);
    const file = make(run, 'f');
    between(run);
    write(run, file, 0, bytes.bytes(50_000));
    between(run);
    truncate(run, file, 5000);
    between(run);
    truncate(run, file, 50_000);
    between(run);
    write(run, file, 20_000, bytes.bytes(300));
    between(run);
    settle(run);
  }
  t.end();
});

t.test('D4: a file made before a save that is not stored yet, truncated after it', (t) => {
  const run = start(t);
  make(run, 'other');
  run.commit();
  const file = make(run, 'f');
  write(run, file, 0, bytes.bytes(30_000));
  run.save('s');
  truncate(run, file, 100);
  truncate(run, file, 30_000);
  settle(run);
  t.end();
});

t.test('collecting goes on before an emptied layer is taken out', (t) => {
  const run = start(t);
  for (const name of ['one', 'two', 'three']) {
    write(run, make(run, `file-${name}`), 0, bytes.bytes(5000));
    run.save(name);
  }
  run.deleteSnapshot('one');
  run.deleteSnapshot('two');
  run.flush();
  // All of it without a group in between that would take the layers out.
  run.collect();
  settle(run);
  t.strictSame(layerNumbers(run.volume.core.reader), [1, 4, 5, 6]);
  t.end();
});

t.test('a change that the disk has no room for changes nothing', (t) => {
  const run = start(t);
  const directory = make(run, 'd', ROOT, S_IFDIR | 0o755);
  const file = make(run, 'f');
  make(run, 'g', directory);
  run.flush();
  for (let questions = 1; questions < 8; questions++) {
    const full = (): void => run.fillDisk(questions);
    full();
    make(run, `new${questions}`);
    full();
    link(run, file, directory, `link${questions}`);
    full();
    rename(run, ROOT, 'f', directory, 'g', 'exchange');
    full();
    rename(run, directory, 'g', ROOT, 'f', 'plain');
    full();
    make(run, 'g', directory);
    full();
    write(run, file, questions * 10_000, bytes.bytes(9000));
    full();
    truncate(run, file, 5000);
    compareAll(run);
    run.flush();
  }
  t.ok(run.refused > 4, `${run.refused} changes were refused`);
  settle(run);
  t.end();
});

t.test('an orphan that is released after a save leaves no trace', (t) => {
  const run = start(t);
  const file = make(run, 'f');
  run.commit();
  unlink(run, 'f', true);
  run.save('s');
  release(run, file);
  run.flush();
  t.strictSame(run.volume.names.orphans(), []);
  settle(run);
  t.end();
});

t.test('what only a deleted snapshot saw goes, however far below it lies', (t) => {
  const run = start(t);
  // Too large to be folded, so that the layers stay.
  const large = bytes.bytes(9 * 1024 * KIB);
  for (const name of ['one', 'two', 'three']) {
    write(run, make(run, name), 0, large);
    run.save(name);
  }
  unlink(run, 'one');
  for (const name of ['one', 'two']) run.deleteSnapshot(name);
  run.collectAll();
  run.deleteSnapshot('three');
  settle(run);
  t.end();
});

t.test('what the open layer writes anew is given back below, in rounds', (t) => {
  const run = start(t);
  const file = make(run, 'f');
  write(run, file, 0, bytes.bytes(6000 * BLOCK));
  run.save('s');
  run.deleteSnapshot('s');
  run.collectAll();
  write(run, file, 0, bytes.bytes(6000 * BLOCK));
  run.collectAll();
  run.flush();
  write(run, file, 0, bytes.bytes(6000 * BLOCK));
  run.collectAll();
  t.equal(countRecords(run.volume.core.reader, TABLE.blocks), 6000);
  settle(run);
  t.end();
});

t.test('a file with data always has blocks, or programs take it for empty', (t) => {
  const run = startOverBase(t);
  const child = (name: string): number =>
    run.model.live.get(run.model.live.get(ROOT)?.names.get('d') as number)?.names.get(name) ?? 0;
  write(run, child('hollow'), 8192, bytes.bytes(100));
  truncate(run, child('hollow2'), 5000);
  write(run, child('hollow2'), 4200, bytes.bytes(100));
  const sparse = child('sparse');
  for (let offset = 0; offset < 40_000; offset += BLOCK) {
    run.change(
      'punch',
      (model) => model.punch(sparse, offset, BLOCK, run.real),
      () => allocate(run.volume, sparse, offset, BLOCK, 3),
    );
  }
  settle(run);
  t.end();
});

t.test('a huge sparse file costs no more than a small one', (t) => {
  const run = startOverBase(t);
  const { volume } = run;
  const huge = run.model.live.get(ROOT)?.names.get('huge') as number;
  const punch = (offset: number, length: number): void =>
    run.change(
      'punch',
      (model) => model.punch(huge, offset, length, run.real),
      () => allocate(volume, huge, offset, length, 3),
    );
  write(run, huge, 2 ** 39, bytes.bytes(10));
  punch(4096, 2 ** 41);
  compareAll(run);
  write(run, huge, 2 ** 38, bytes.bytes(10));
  const inode = volume.inode(volume.live, huge) ?? t.fail('no inode');
  if (typeof inode === 'object') {
    t.equal(volume.seek(volume.live, inode, 0, 'hole'), BLOCK);
    t.equal(volume.seek(volume.live, inode, BLOCK, 'data'), 2 ** 38);
  }
  settle(run);
  t.end();
});

t.test('a view that a restore left keeps what is stored only later', (t) => {
  const run = start(t);
  const file = make(run, 'f');
  run.flush();
  make(run, 'g');
  run.commit();
  write(run, file, 0, bytes.bytes(10));
  compareAll(run);
  run.save('s');
  // The layer after the save is empty, and the save's changes still wait to be stored.
  run.restore('s');
  run.pump();
  compareAll(run);
  run.pump();
  settle(run);
  t.end();
});

t.test('D4: more truncations than an inode has room for, ever larger', (t) => {
  for (const isBase of [false, true]) {
    const run = isBase ? startOverBase(t) : start(t);
    const e = run.model.live.get(ROOT)?.names.get('e') ?? 0;
    const file = isBase ? (run.model.live.get(e)?.names.get('large') ?? 0) : make(run, 'f');
    for (let i = 0; i < 20; i++) {
      write(run, file, 100 * KIB + i, bytes.bytes(20 * KIB));
      if (i % 3 === 1) run.flush();
      if (i % 6 === 2) run.save(`s${i}`);
      truncate(run, file, 3000 * (i + 1));
      truncate(run, file, 120 * KIB);
    }
    compareAll(run);
    settle(run);
  }
  t.end();
});

t.test('a base directory stays reachable by number across a restore', (t) => {
  const run = startOverBase(t);
  run.save('s');
  rename(run, ROOT, 'd', ROOT, 'moved', 'plain');
  const directory = run.model.live.get(ROOT)?.names.get('moved') as number;
  run.reopen();
  run.restore('s');
  t.ok(run.volume.inode(run.volume.live, directory)?.isDirectory);
  settle(run);
  t.end();
});
