/** The registry of volumes and the choice of a volume for a directory, without mounts. */
import fs from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import {
  compareIdentities,
  type DirectoryIdentity,
  identityOf,
} from '../../../src/daemon/volumes/directory-identity.js';
import { type Disk, diskOf, whyAbsent } from '../../../src/daemon/volumes/disk.js';
import {
  type EarlierPath,
  findForDirectory,
  type Found,
  type Wanted,
} from '../../../src/daemon/volumes/lookup.js';
import { machineOf } from '../../../src/daemon/volumes/machine.js';
import {
  ofOlderVersion,
  readRegistry,
  type VolumeEntry,
} from '../../../src/daemon/volumes/registry.js';
import { changeRegistry } from '../../../src/daemon/volumes/registry-changes.js';
import { parseMountTable } from '../../../src/fuse/mount/mount-info.js';

const born = (inode: number, fsid = 'e1'): DirectoryIdentity => ({
  fsid,
  device: 2049,
  inode,
  btimeS: 1_700_000_000 + inode,
  btimeNs: 5,
});
const unborn = (inode: number, fsid = 'n1'): DirectoryIdentity => ({
  ...born(inode, fsid),
  btimeS: 0,
  btimeNs: 0,
});

t.test('identities of directories', async (t) => {
  t.equal(compareIdentities(born(7), born(7)), 'same');
  t.equal(compareIdentities(born(7), { ...born(7), fsid: '0', device: 1 }), 'same', 'renumbered');
  t.equal(compareIdentities(born(7), born(8)), 'other');
  t.equal(compareIdentities(born(7), { ...born(7), btimeNs: 6 }), 'other', 'the number again');
  t.equal(compareIdentities(unborn(7), unborn(7)), 'like', 'numbers are used again');
  t.equal(compareIdentities(unborn(7), unborn(7, 'n2')), 'other');
  t.equal(compareIdentities(unborn(7, '0'), unborn(7, '0')), 'like', 'the device has to do');
  t.equal(compareIdentities(unborn(7, '0'), { ...unborn(7, '0'), device: 3 }), 'other');
  t.equal(compareIdentities(born(7), unborn(7, 'e1')), 'like', 'birth times are known since');
  const dir = t.testdir({ a: {}, b: {} });
  const a = identityOf(path.join(dir, 'a'));
  const b = identityOf(path.join(dir, 'b'));
  if (a === undefined || b === undefined) throw new Error('both exist');
  t.equal(a.inode, fs.statSync(path.join(dir, 'a')).ino);
  t.equal(compareIdentities(a, b), 'other');
  fs.renameSync(path.join(dir, 'a'), path.join(dir, 'c'));
  t.same(identityOf(path.join(dir, 'c')), a, 'a rename changes nothing');
  t.equal(identityOf(path.join(dir, 'a')), undefined);
});

let clock = 0;
/** An entry; later ones were used later. */
function entry(volume: string, fields: Partial<VolumeEntry>): VolumeEntry {
  clock += 1000;
  return {
    ...ofOlderVersion(volume, 'no-base:', volume, clock),
    mountpoints: [],
    uuid: volume,
    ...fields,
  };
}

/** `kind volume`, and what else is found. */
function shown(found: Found): string {
  if (found.kind === 'none') return 'none';
  if (found.kind !== 'known') return `${found.kind} ${found.entry.volume}`;
  const others = found.others.map(({ volume }) => volume).join(' ');
  return `${found.entry.volume} [${others}]${found.movedFrom === undefined ? '' : ` from ${found.movedFrom}`}`;
}

const over = (base: string, identity: DirectoryIdentity): Wanted => ({
  base,
  mountpoint: base,
  identity,
});

function find(
  entries: readonly VolumeEntry[],
  wanted: Wanted,
  paths: Record<string, EarlierPath> = {},
): string {
  return shown(findForDirectory(entries, wanted, (path) => paths[path] ?? 'gone'));
}

t.test('which volume belongs to a directory', async (t) => {
  const a = entry('A', { base: '/a', directory: born(1) });
  const b = entry('B', { base: '/b', directory: born(2) });
  const a2 = entry('A2', { base: '/a', directory: born(1) });
  t.equal(find([], over('/a', born(1))), 'none');
  t.equal(find([a, b], over('/a', born(1))), 'A []');
  t.equal(find([a, b, a2], over('/a', born(1))), 'A2 [A]', 'the one used last');
  t.equal(find([a, b, a2], over('/c', born(1))), 'A2 [A] from /a', 'renamed, with all of them');
  t.equal(find([a, b], over('/c', born(3))), 'none', 'a copy');
  t.equal(find([a, b], over('/a', born(3))), 'replaced A');
  t.equal(find([a, b], over('/a', born(2))), 'B [] from /b', 'b has taken the place of a');
  t.equal(find([a], over('/m', born(1)), { '/a': 'here' }), 'A []', 'a bind mount');
  t.equal(find([a], over('/m', born(1)), { '/a': 'twin' }), 'none', 'a clone of the disk');
  t.equal(find([{ ...a, isForgotten: true }], over('/a', born(1))), 'none');
  const old = entry('O', { base: '/o', directory: null });
  t.equal(find([old], over('/o', born(9))), 'O []', 'an older entry knows the path only');
});

t.test('where file systems keep no birth times', async (t) => {
  const a = entry('A', { base: '/a', directory: unborn(1) });
  t.equal(find([a], over('/a', unborn(1))), 'A []');
  t.equal(find([a], over('/c', unborn(1))), 'unsure A', 'renamed, or the number was used again');
  t.equal(find([a], over('/c', unborn(1)), { '/a': 'here' }), 'A []');
  t.equal(find([a], over('/c', unborn(1, 'n2'))), 'none');
  t.equal(find([a], over('/a', unborn(2))), 'replaced A');
});

t.test('mountpoints over nothing', async (t) => {
  const at = (mountpoint: string, identity: DirectoryIdentity): Wanted => ({
    base: undefined,
    mountpoint,
    identity,
  });
  const x = entry('X', { mountpoints: ['/m', '/n'], directory: born(1) });
  const y = entry('Y', { mountpoints: ['/m'], directory: born(1) });
  const based = entry('B', { base: '/m', mountpoints: ['/m'], directory: born(1) });
  t.equal(find([x, y, based], at('/m', born(9))), 'Y [X]', 'an empty directory may be made anew');
  t.equal(find([x, based], at('/n', born(9))), 'X []');
  t.equal(find([x, based], at('/k', born(1))), 'X [] from /m');
  t.equal(find([based], at('/m', born(1))), 'none');
});

t.test('why nothing of a disk can be seen', async (t) => {
  const table = parseMountTable(
    [
      '22 1 8:1 / / rw - ext4 /dev/sda1 rw',
      '40 22 8:17 / /mnt/d rw - xfs /dev/sdb1 rw',
      '41 22 0:5 / /mnt/other rw - tmpfs tmpfs rw',
    ].join('\n'),
  );
  t.match(diskOf(table, '/mnt/d/x/y'), { mountpoint: '/mnt/d', source: '/dev/sdb1', type: 'xfs' });
  t.match(diskOf(table, '/mnt/data'), { mountpoint: '/' });
  const disk: Disk = { mountpoint: '/mnt/d', source: '/dev/sdb1', type: 'xfs', fsid: 'f1' };
  const id = (): string => 'f1';
  t.equal(whyAbsent(disk, table, id), undefined);
  t.equal(
    whyAbsent(disk, table, () => 'f2'),
    undefined,
    'the number of the device has changed',
  );
  t.equal(whyAbsent({ ...disk, source: '/dev/sdc1' }, table, id), undefined, 'or its name');
  t.match(whyAbsent({ ...disk, mountpoint: '/mnt/e' }, table, id), /not mounted there now$/);
  t.match(
    whyAbsent({ ...disk, mountpoint: '/mnt/other' }, table, () => 'f2'),
    /was mounted on \/mnt\/other, and tmpfs \(tmpfs\) is now/,
  );
  t.equal(whyAbsent(null, table, id), undefined);
});

t.test('machines', async (t) => {
  t.match(machineOf('abc\n', 'h'), { id: /^[0-9a-f]{32}$/, host: 'h' });
  t.equal(machineOf('abc', 'h').id, machineOf('abc\n', 'renamed').id);
  t.not(machineOf('', 'h').id, machineOf('', 'i').id, 'without an id the name has to do');
});

t.test('the registry', async (t) => {
  const paths = { stateDirectory: t.testdir(), runtimeDirectory: '/nonexistent' };
  t.same(readRegistry(paths), [], 'no state directory yet');
  const a = entry('/vol/a', { id: 'a', base: '/a', directory: born(1) });
  changeRegistry(paths, (registry) => {
    t.equal(registry.freeId('a'), 'a');
    registry.put(a);
    t.equal(registry.freeId('a'), 'a.2', 'a copy of a volume has its UUID');
  });
  t.same(readRegistry(paths), [a]);
  const directory = path.join(paths.stateDirectory, 'registry');
  fs.writeFileSync(path.join(directory, 'bad.json'), '{');
  fs.writeFileSync(path.join(directory, 'later.json'), '{"format":3,"volume":"/x"}');
  fs.writeFileSync(path.join(directory, 'old.json'), '{"key":"no-base:/m","volume":"/v"}');
  const damaged: string[] = [];
  const all = readRegistry(paths, (path, why) => damaged.push(`${path}: ${why}`));
  t.match(
    all.find(({ id }) => id === 'old'),
    { uuid: null, volume: '/v', base: null, mountpoints: ['/m'] },
  );
  t.match(damaged.sort(), [/bad\.json: /, /later\.json: its format is 3/]);
  changeRegistry(paths, (registry) => registry.remove('a'));
  t.equal(readRegistry(paths).length, 1);
});

t.test('changes at the same time do not undo each other', async (t) => {
  const paths = { stateDirectory: t.testdir(), runtimeDirectory: '/nonexistent' };
  changeRegistry(paths, (registry) => registry.put(entry('/v', { id: 'n', snapshots: 0 })));
  const url = new URL('../../../dist/daemon/volumes/registry-changes.js', import.meta.url);
  const work = `
    const { changeRegistry } = await import(${JSON.stringify(url.href)});
    for (let i = 0; i < 10; i++) {
      changeRegistry(${JSON.stringify(paths)}, (registry) => {
        const entry = registry.get('n');
        registry.put({ ...entry, snapshots: entry.snapshots + 1 });
      });
    }`;
  const ends = Array.from({ length: 3 }, () => {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(work)}`));
    return new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  });
  t.same(await Promise.all(ends), [0, 0, 0]);
  t.equal(readRegistry(paths)[0]?.snapshots, 30);
});

t.test('a registry that can not be used', async (t) => {
  const dir = t.testdir({ registry: 'a file' });
  const paths = { stateDirectory: dir, runtimeDirectory: '/nonexistent' };
  t.same(readRegistry(paths), []);
  t.throws(() => changeRegistry(paths, () => undefined), { code: 'state-unusable' });
});
