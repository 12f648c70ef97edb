/** Which file systems on the way to a path may never answer. */
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { mountThatMayHang } from '../../../src/daemon/mount/answering.js';
import { type MountEntry, parseMountTable } from '../../../src/fuse/mount/mount-info.js';

t.test('links are followed as far as file systems answer', async (t) => {
  const dir = fs.realpathSync(
    t.testdir({
      far: {},
      own: {},
      plain: t.fixture('symlink', 'own/x'),
      loop: t.fixture('symlink', 'loop'),
    }),
  );
  fs.symlinkSync(`../${path.basename(dir)}/./far/deep`, path.join(dir, 'there'));
  fs.symlinkSync(path.join(dir, 'there'), path.join(dir, 'own', 'absolute'));
  const table = parseMountTable(
    [
      '1 0 8:1 / / rw - ext4 /dev/sda1 rw',
      `2 1 0:50 / ${dir}/far rw - nfs4 server:/export rw`,
      `3 1 0:51 / ${dir}/own rw - tmpfs none rw`,
    ].join('\n'),
  );
  const found = (name: string): MountEntry['type'] | undefined =>
    mountThatMayHang(table, path.join(dir, name))?.type;
  t.equal(found('far'), 'nfs4');
  t.equal(found('far/below/it'), 'nfs4');
  t.equal(found('there'), 'nfs4');
  t.equal(found('there/below'), 'nfs4');
  t.equal(found('own/absolute'), 'nfs4');
  t.equal(found('plain'), undefined);
  t.equal(found('own'), undefined);
  t.equal(found('farther'), undefined, 'a name that only begins like it');
  t.equal(found('loop'), undefined, 'the kernel will say so');
  t.equal(found('none/far'), undefined);
});
