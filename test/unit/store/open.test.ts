import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { CommandError } from '../../../src/lib/errors.js';
import { blockKey } from '../../../src/format/records/keys.js';
import { TABLE } from '../../../src/format/records/tables.js';
import { checkVolumeFiles, createVolumeFiles, openEnv } from '../../../src/store/open.js';
import { acquireOwner, readOwner, shareVolume } from '../../../src/store/owner.js';
import { StoreReader } from '../../../src/store/reader.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { openToRead } from '../../../src/volume/log/log-replay.js';

function scratch(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'shadowfs-open-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function refused(t: Test, code: string, body: () => unknown): CommandError | undefined {
  try {
    body();
  } catch (error) {
    t.ok(error instanceof CommandError, String(error));
    t.equal((error as CommandError).code, code, (error as Error).message);
    return error as CommandError;
  }
  t.fail(`expected ${code}`);
  return undefined;
}

/** A volume whose file has pages in use and free ones. */
function filled(path: string): void {
  const writer = StoreWriter.open(path, { create: true });
  for (let round = 0; round < 5; round++) {
    writer.transaction((tx) => {
      for (let i = 0; i < 60; i++) {
        tx.put(TABLE.blocks, blockKey(1, 5, i, 3, 1), Buffer.alloc(9000, round));
      }
    });
  }
  writer.close();
}

t.test('not a volume', (t) => {
  const path = scratch(t);
  refused(t, 'not-a-volume', () => checkVolumeFiles(join(path, 'missing')));
  refused(t, 'not-a-volume', () => checkVolumeFiles(path));
  writeFileSync(join(path, 'file'), 'x');
  refused(t, 'not-a-volume', () => checkVolumeFiles(join(path, 'file')));
  refused(t, 'not-a-volume', () => createVolumeFiles(path));
  refused(t, 'not-a-volume', () => createVolumeFiles(join(path, 'file', 'below')));
  const volume = join(path, 'a', 'b');
  createVolumeFiles(volume);
  checkVolumeFiles(volume);
  refused(t, 'volume-exists', () => createVolumeFiles(volume));
  const fresh = join(path, 'fresh');
  const died = new Error('died');
  t.throws(
    () =>
      createVolumeFiles(fresh, {}, () => {
        throw died;
      }),
    died,
  );
  refused(t, 'not-a-volume', () => checkVolumeFiles(fresh));
  createVolumeFiles(fresh, {}, (place) => filled(place));
  checkVolumeFiles(fresh);
  t.same(readdirSync(fresh), ['data.mdb'], 'made as a whole, whatever an earlier attempt left');
  t.end();
});

t.test('an LMDB environment of something else', async (t) => {
  const path = scratch(t);
  const { open } = await import('lmdb');
  await open({ path, noSubdir: false, overlappingSync: false }).close();
  refused(t, 'not-a-volume', () => openEnv(path));
});

t.test('damaged files', (t) => {
  const path = scratch(t);
  const volume = join(path, 'v');
  filled(volume);
  const file = join(volume, 'data.mdb');
  const whole = readFileSync(file);
  checkVolumeFiles(volume);
  for (const length of [
    0,
    1,
    24,
    100,
    4095,
    4096,
    5000,
    8192,
    12288,
    40960,
    whole.length - 4096 * 30,
  ]) {
    writeFileSync(file, whole);
    truncateSync(file, length);
    refused(t, 'volume-damaged', () => StoreReader.open(volume));
  }
  const patched = (change: (bytes: Buffer) => void): void => {
    const bytes = Buffer.from(whole);
    change(bytes);
    writeFileSync(file, bytes);
    refused(t, 'volume-damaged', () => StoreWriter.open(volume));
  };
  patched((bytes) => bytes.fill(0));
  patched((bytes) => bytes.fill(0xff));
  patched((bytes) => bytes.fill('no volume '));
  patched((bytes) => bytes.writeUInt32LE(7, 24));
  patched((bytes) => bytes.writeUInt32LE(7, 4096 + 24));
  patched((bytes) => bytes.fill(0, 8192));
  writeFileSync(file, whole);
  const reader = StoreReader.open(volume);
  t.equal(reader.get(TABLE.blocks, blockKey(1, 5, 59, 3, 1))?.[0], 4);
  reader.close();
  t.end();
});

t.test('owner: one at a time, named, freed with the process', async (t) => {
  const path = scratch(t);
  mkdirSync(path, { recursive: true });
  const first = acquireOwner(path, { mountpoint: '/mnt/x' });
  const error = refused(t, 'volume-in-use', () => acquireOwner(path, { waitMs: 60 }));
  t.equal(error?.errno, 'EBUSY');
  t.match(error?.message, new RegExp(`process ${process.pid} .*mounted on /mnt/x`));
  t.equal(error?.details.pid, process.pid);
  t.equal(readOwner(path)?.mountpoint, '/mnt/x');
  first.release();
  first.release();
  acquireOwner(path).release();

  const module = JSON.stringify(join(process.cwd(), 'dist/store/owner.js'));
  const hold = (script: string): ReturnType<typeof spawn> =>
    spawn(process.execPath, [
      '--input-type=module',
      '-e',
      `
      const { acquireOwner } = await import(${module});
      const owner = acquireOwner(${JSON.stringify(path)}, { mountpoint: '/mnt/z' });
      console.log('held');
      ${script}`,
    ]);
  const killed = hold('setInterval(() => {}, 1000);');
  await once(killed.stdout as NodeJS.ReadableStream, 'data');
  const held = refused(t, 'volume-in-use', () => acquireOwner(path));
  t.equal(held?.details.pid, killed.pid);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  acquireOwner(path).release();

  const closing = hold('setTimeout(() => owner.release(), 300);');
  await once(closing.stdout as NodeJS.ReadableStream, 'data');
  acquireOwner(path, { waitMs: 10_000 }).release();
  t.pass('waited for one that was closing');
});

t.test('LMDB meets in memory, and nothing is left of that', (t) => {
  const path = join(scratch(t), 'volume');
  filled(path);
  t.same(readdirSync(path), ['data.mdb'], 'no lock file beside the data');
  const { dev, ino, uid } = statSync(join(path, 'data.mdb'));
  const lock = `/dev/shm/shadowfs-${uid}/${dev.toString(16)}-${ino.toString(16)}.lock`;
  t.notOk(existsSync(lock), 'closed');
  const first = StoreReader.open(path);
  t.ok(first.isAlone);
  const { size, blocks } = statSync(lock);
  t.ok(blocks * 512 >= size && size >= 8192, 'its pages are there');
  const second = StoreReader.open(path);
  t.notOk(first.isAlone);
  first.close();
  t.ok(existsSync(lock), 'as long as one has it open');
  t.ok(second.isAlone);
  second.close();
  t.notOk(existsSync(lock));
  t.same(
    readdirSync(dirname(lock)).filter((name) => name.includes(ino.toString(16))),
    [],
  );
  t.end();
});

t.test('an owner that does not see who reads', (t) => {
  const path = join(scratch(t), 'volume');
  filled(path);
  const owner = acquireOwner(path);
  openToRead(path).close();
  t.pass('this very process');
  // As of another process: one that has its lock from this test.
  writeFileSync(join(path, 'owner'), '');
  const error = refused(t, 'volume-in-use', () => openToRead(path));
  t.match(error?.message, /does not see who reads/);
  const writer = StoreWriter.open(path);
  openToRead(path).close();
  t.pass('one that does');
  writer.close();
  owner.release();
  const [one, two] = [shareVolume(path), shareVolume(path)];
  t.ok(one !== undefined && two !== undefined, 'those that read go together');
  refused(t, 'volume-in-use', () => acquireOwner(path));
  one?.release();
  two?.release();
  acquireOwner(path).release();
  t.end();
});

t.test(
  'failpoints: a kill or failure before the commit leaves nothing, after it everything',
  (t) => {
    const path = scratch(t);
    const writerModule = JSON.stringify(join(process.cwd(), 'dist/store/writer.js'));
    const run = (name: string, mode: string, n: number): ReturnType<typeof spawnSync> =>
      spawnSync(
        process.execPath,
        [
          '--input-type=module',
          '-e',
          `
        const { StoreWriter } = await import(${writerModule});
        const writer = StoreWriter.open(${JSON.stringify(join(path, `${name}-${mode}`))}, { create: true });
        for (let i = 1; i <= 3; i++) {
          try {
            writer.transaction((tx) => tx.put(15, Buffer.from('key'), Buffer.of(i)));
          } catch (error) { console.log(error.message); }
        }`,
        ],
        {
          timeout: 20_000,
          env: {
            ...process.env,
            SHADOWFS_FAILPOINT: `store:${name}:${n}`,
            SHADOWFS_FAILPOINT_MODE: mode,
          },
        },
      );
    const stored = (name: string, mode: string): number | undefined => {
      const reader = StoreReader.open(join(path, `${name}-${mode}`));
      const value = reader.get(TABLE.meta, Buffer.from('key'))?.[0];
      reader.close();
      return value;
    };
    t.equal(run('before-commit', 'SIGKILL', 2).signal, 'SIGKILL');
    t.equal(stored('before-commit', 'SIGKILL'), 1);
    t.equal(run('after-commit', 'SIGKILL', 2).signal, 'SIGKILL');
    t.equal(stored('after-commit', 'SIGKILL'), 2);
    t.equal(String(run('before-commit', 'throw', 3).stdout), 'failpoint store:before-commit\n');
    t.equal(stored('before-commit', 'throw'), 2);
    t.end();
  },
);
