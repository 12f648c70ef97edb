/** Calls that change a directory tree: symlinks are not followed. */
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { AT_FDCWD } from '../../../src/libc/constants.js';
import { fchmodat } from '../../../src/libc/files.js';

t.test('a mode is never set through a symlink', async (t) => {
  const dir = t.testdir({ file: 'x', link: t.fixture('symlink', 'file') });
  const modeOf = (name: string): number => fs.statSync(path.join(dir, name)).mode & 0o7777;
  t.equal(fchmodat(AT_FDCWD, path.join(dir, 'file'), 0o640), 0);
  t.equal(modeOf('file'), 0o640);
  // What the kernel says about the link itself differs.
  fchmodat(AT_FDCWD, path.join(dir, 'link'), 0o777);
  t.equal(modeOf('file'), 0o640, 'what it leads to keeps its mode');
  t.ok(fchmodat(AT_FDCWD, path.join(dir, 'none'), 0o777) < 0);
  t.equal(fchmodat(AT_FDCWD, dir, 0o700), 0, 'a directory');
});
