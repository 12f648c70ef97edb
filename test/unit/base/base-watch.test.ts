/** Watches of base directories. */
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { BaseWatch } from '../../../src/base/base-watch.js';

t.test('a directory that can not be watched leaves room for others', async (t) => {
  const dir = t.testdir({ file: 'x', sub: {} });
  const watch = new BaseWatch();
  const fds = ['', 'file', 'sub'].map((name) => fs.openSync(path.join(dir, name), 'r'));
  t.teardown(() => {
    watch.close();
    for (const fd of fds) fs.closeSync(fd);
  });
  const [root = -1, file = -1, sub = -1] = fds;
  t.notOk(watch.add('file', file), 'it is no directory');
  t.ok(watch.add('', root));
  t.ok(watch.add('sub', sub));
  t.equal(watch.size, 2);
  fs.writeFileSync(path.join(dir, 'sub', 'new'), 'n');
  t.match(watch.take(), [{ kind: 'name', directory: 'sub', name: 'new' }]);
});
