/**
 * Made the volume in v8/: format 8, as a process left it that was killed. It
 * was applied to its base and frozen, so that its base layer holds what every
 * view shows; it has branches, from a snapshot and from a live tree, with
 * changes, undo lines and schedules of their own; and its intent log has what
 * LMDB has not. Every later version must open it. It is kept to say what the
 * volume holds; run again it would write what the format is *now*:
 *
 *   node --import @tapjs/typescript/import test/golden/make-v8.ts --anew && npm run format
 */
import { linkSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { workNow } from '../../src/lib/work.js';
import { freezeBase } from '../../src/volume/freeze/freeze.js';
import type { Volume } from '../../src/volume/volume.js';
import { applyAll, hostOf } from '../unit/volume/apply-fixture.js';
import type { VolumeFixture } from '../unit/volume/volume-fixture.js';
import { keepAsKilled, syncIntoLog } from './killed.js';

const LOG_BYTES = 256 * 1024;

function fillBase(path: string): void {
  mkdirSync(join(path, 'd/e'), { recursive: true });
  writeFileSync(join(path, 'd/f'), 'f'.repeat(9000));
  writeFileSync(join(path, 'd/e/deep'), 'deep');
  writeFileSync(join(path, 'one'), 'one name');
  linkSync(join(path, 'one'), join(path, 'd/other'));
  symlinkSync('d/f', join(path, 'link'));
  writeFileSync(join(path, 'gone'), 'gone'.repeat(3000));
  writeFileSync(join(path, 'sparse'), '');
  truncateSync(join(path, 'sparse'), 50_000);
}

function freeze(fixture: VolumeFixture): void {
  const work = freezeBase(fixture.volume, {
    pause: hostOf(fixture).pause,
    onProgress: () => undefined,
    isStopped: () => false,
    reader: { uid: process.getuid?.() ?? 0, groups: new Set(process.getgroups?.() ?? []) },
    source: 'test',
    isForced: false,
  });
  workNow(work, () => fixture.flush()).base?.close();
  fixture.flush();
}

function put(volume: Volume, name: string, text: string): void {
  const root = volume.inode(volume.live, 1);
  const found = root && volume.lookup(volume.live, root, name);
  const ino = found?.ino ?? volume.create({ uid: 0, gid: 0 }, 1, name, { mode: 0o100644 }).ino;
  volume.write(ino, 0, Buffer.from(text));
}

function make(fixture: VolumeFixture): void {
  fixture.logBytes = LOG_BYTES;
  const { volume } = fixture;
  fixture.save('start');
  fixture.write('d/f', 'changed', 5000);
  fixture.unlink('gone');
  fixture.rename('d/e', 'moved');
  fixture.save('worked');
  applyAll(fixture);
  fixture.write('made', 'made after the apply');
  freeze(fixture);
  fixture.write('d/f', 'frozen', 100);
  volume.branchCommands.fork('old', { snapshot: 'start' }, 'test');
  volume.branchCommands.fork('try', {}, 'test');
  fixture.write('made', 'on main', 3);
  const [old, tried] = [volume.at('old'), volume.at('try')];
  put(old, 'of-old', 'old');
  old.schedules.set('every 10m, keep 6 all', 'test');
  put(tried, 'made', 'tried');
  tried.save('tried', 'test');
  put(tried, 'of-try', 'later');
  tried.restore('worked', 'test');
  put(tried, 'of-try', 'latest');
  fixture.flush();
  syncIntoLog(fixture, (word) => put(tried, 'fsynced', word));
}

if (process.argv.includes('--anew')) keepAsKilled('v8', make, fillBase);
