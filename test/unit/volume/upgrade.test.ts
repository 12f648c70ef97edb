/**
 * The way in for new tables and fields: an older volume gets what it lacks in
 * one transaction, and whoever only reads it writes nothing.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { encodeJson } from '../../../src/format/records/values.js';
import { TABLE } from '../../../src/format/records/tables.js';
import { Env } from '../../../src/store/env.js';
import { StoreReader } from '../../../src/store/reader.js';
import { StoreWriter } from '../../../src/store/writer.js';
import { checkVolumeAt } from '../../../src/check/check.js';
import { readMeta } from '../../../src/volume/catalog.js';
import {
  checkRevision,
  revisionOf,
  type Upgrade,
  upgradeVolume,
} from '../../../src/volume/upgrade.js';
import { Volume } from '../../../src/volume/volume.js';
import { VolumeFixture } from './volume-fixture.js';

/** As if the peers' table and a field of `meta` had come after the first release. */
const UPGRADES: readonly Upgrade[] = [
  {
    what: 'a table for peers',
    tables: ['peers'],
    fill: (tx) => tx.put(TABLE.peers, Buffer.from('first'), encodeJson({ made: true })),
  },
  {
    what: 'a field',
    fill: (tx) => tx.put(TABLE.meta, Buffer.from('field'), encodeJson('of today')),
  },
];
const COMPRESSION = { compression: false };

/** A volume that lacks the peers' table and the revision, as an older shadowfs has left it. */
function older(t: Test): string {
  const fixture = new VolumeFixture(t);
  fixture.write('file', 'content');
  fixture.save('before');
  fixture.flush();
  fixture.close();
  const writer = StoreWriter.open(fixture.path);
  writer.transaction((tx) => tx.del(TABLE.meta, Buffer.from('revision')));
  writer.close();
  dropTable(fixture.path, 'peers');
  return fixture.path;
}

/** Takes a table out of LMDB's list of them. In a process of its own: the map of this one stays. */
function dropTable(path: string, name: string): void {
  const script = `
    const { open } = await import('lmdb');
    const options = { keyEncoding: 'binary', encoding: 'binary' };
    const root = open({ path: process.argv[1], noSubdir: false, maxDbs: 32, overlappingSync: false, ...options });
    await root.openDB({ name: process.argv[2], create: false, ...options }).drop();
    await root.close();`;
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script, path, name],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
}

/** What stands in the volume, read through an environment that may lack the table. */
function lookAt(path: string): { revision: number; field: unknown; hasTable: boolean } {
  const env = Env.open(path, { mayLack: ['peers'] });
  const reader = new StoreReader(env);
  reader.refresh();
  const found = {
    revision: revisionOf(reader),
    field: readMeta(reader, 'field'),
    hasTable: reader.get(TABLE.peers, Buffer.from('first')) !== undefined,
  };
  env.close();
  return found;
}

const OLD = { revision: 0, field: undefined, hasTable: false };
const NEW = { revision: 2, field: 'of today', hasTable: true };

t.test('what is missing is added, once', (t) => {
  const path = older(t);
  t.same(lookAt(path), OLD, 'a missing table reads as empty');
  t.throws(() => StoreReader.open(path), { code: 'not-a-volume' }, 'one that is not expected');
  t.same(upgradeVolume(path, 0, { ...COMPRESSION, upgrades: UPGRADES }), [
    'a table for peers',
    'a field',
  ]);
  t.same(lookAt(path), NEW);
  t.same(upgradeVolume(path, 2, { ...COMPRESSION, upgrades: UPGRADES }), [], 'nothing is left');
  t.same(lookAt(path), NEW);
  const writer = StoreWriter.open(path);
  writer.transaction((tx) => {
    tx.del(TABLE.peers, Buffer.from('first'));
    tx.put(TABLE.meta, Buffer.from('revision'), encodeJson(0));
  });
  writer.close();
  t.same(checkVolumeAt({ path }).findings, []);
  const volume = Volume.open({ path, writer: { kind: 'inline' } });
  t.same(
    volume.snapshots().map(({ name }) => name),
    ['before'],
  );
  volume.close();
  t.end();
});

t.test('an upgrade from the middle adds only what came later', (t) => {
  const path = older(t);
  upgradeVolume(path, 0, { ...COMPRESSION, upgrades: UPGRADES.slice(0, 1) });
  t.same(lookAt(path), { revision: 1, field: undefined, hasTable: true });
  t.same(upgradeVolume(path, 1, { ...COMPRESSION, upgrades: UPGRADES }), ['a field']);
  t.same(lookAt(path), NEW);
  t.end();
});

t.test('a failure on the way leaves the old volume', (t) => {
  const path = older(t);
  const failing: Upgrade[] = [
    ...UPGRADES,
    {
      what: 'what fails',
      fill: () => {
        throw new Error('no');
      },
    },
  ];
  t.throws(() => upgradeVolume(path, 0, { ...COMPRESSION, upgrades: failing }), /no/);
  t.same(lookAt(path), OLD);
  t.end();
});

t.test('killed before the commit it is the old volume, after it the new one', (t) => {
  const path = older(t);
  const script = `
    const { upgradeVolume } = await import(${JSON.stringify(join(process.cwd(), 'dist/volume/upgrade.js'))});
    const field = { what: 'a field', fill: (tx) => tx.put(15, Buffer.from('field'), Buffer.from('"of today"')) };
    const table = { what: 'a table', tables: ['peers'], fill: (tx) => tx.put(14, Buffer.from('first'), Buffer.from('{}')) };
    upgradeVolume(process.argv[1], 0, { compression: false, upgrades: [table, field] });`;
  for (const [point, expected] of [
    ['upgrade:before-commit', OLD],
    ['upgrade:after-commit', NEW],
  ] as const) {
    const copy = join(path, '..', point.replace(':', '-'));
    mkdirSync(copy);
    copyFileSync(join(path, 'data.mdb'), join(copy, 'data.mdb'));
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script, copy], {
      env: { ...process.env, SHADOWFS_FAILPOINT: point },
    });
    t.equal(signal, 'SIGKILL', point);
    t.same(lookAt(copy), expected, point);
  }
  t.end();
});

t.test('a volume of a newer shadowfs is refused, and not touched', (t) => {
  const fixture = new VolumeFixture(t);
  fixture.write('file', 'content');
  fixture.flush();
  fixture.close();
  const writer = StoreWriter.open(fixture.path);
  writer.transaction((tx) => tx.put(TABLE.meta, Buffer.from('revision'), encodeJson(7)));
  writer.close();
  const before = readFileSync(join(fixture.path, 'data.mdb'));
  for (const kind of ['inline', 'none'] as const) {
    t.throws(() => Volume.open({ path: fixture.path, writer: { kind } }), {
      code: 'newer-format',
      message: /revision 7/,
    });
  }
  t.ok(before.equals(readFileSync(join(fixture.path, 'data.mdb'))));
  const reader = StoreReader.open(fixture.path);
  t.doesNotThrow(() => checkRevision(fixture.path, reader, 7));
  reader.close();
  t.end();
});
