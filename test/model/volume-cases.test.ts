/** Single cases of the volume that random work meets seldom, each on a model as well. */
import { rmSync } from 'node:fs';
import t from 'tap';
import { TABLE } from '../../src/format/tables.js';
import { S_IFDIR, S_IFREG } from '../../src/volume/inode.js';
import { makeBase } from './base-tree.js';
import { compareAll } from './compare.js';
import { Random } from './random.js';
import { checkDelta, countRecords, layerNumbers } from './store-scan.js';
import { VolumeRun } from './volume-run.js';

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
  const compare = (): void => compareAll(run.volume, run.model, run.known);
  compare();
  run.flush();
  compare();
  run.collectAll();
  compare();
  checkDelta(run.volume.core.reader);
  run.reopen();
  compare();
}

function make(run: VolumeRun, name: string, directory = ROOT, mode = S_IFREG | 0o644): number {
  run.change(
    name,
    (model) => model.create(WHO, directory, name, { mode }, run.realInode),
    () => run.volume.names.create(WHO, directory, name, { mode }).ino,
  );
  return run.model.live.get(directory)?.names.get(name) as number;
}

function write(run: VolumeRun, ino: number, offset: number, data: Buffer): void {
  run.change(
    'write',
    (model) => model.write(ino, offset, data, run.real),
    () => run.volume.data.write(ino, offset, data),
  );
}

function truncate(run: VolumeRun, ino: number, size: number): void {
  run.change(
    'truncate',
    (model) => model.setAttributes(ino, { size }, run.real),
    () => run.volume.names.setAttributes(ino, { size }),
  );
}

function unlink(run: VolumeRun, name: string, held = false, directory = ROOT): void {
  run.change(
    'unlink',
    (model) => model.unlink(directory, name, () => held, run.real),
    () => run.volume.names.unlink(directory, name, () => held),
  );
}

function release(run: VolumeRun, ino: number): void {
  run.change(
    'release',
    (model) => model.release(ino, run.real),
    () => run.volume.names.release(ino),
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
  t.strictSame(layerNumbers(run.volume.core.reader), [1, 4, 5]);
  t.end();
});
