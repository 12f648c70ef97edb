/** The writing half of the gate to a base. */
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { BaseWriter } from '../../../src/base/writing/base-writer.js';

/** As many directories as the writer keeps open. */
const OPEN_MAX = 64;

t.test('renames and links between directories, when no more may be open', async (t) => {
  const dir = t.testdir({ to: {} });
  for (let i = 0; i < OPEN_MAX; i++) {
    fs.mkdirSync(path.join(dir, `d${i}`));
    fs.writeFileSync(path.join(dir, `d${i}`, 'f'), String(i));
  }
  const root = fs.openSync(dir, 'r');
  t.teardown(() => fs.closeSync(root));
  for (const open of [OPEN_MAX - 2, OPEN_MAX - 1, OPEN_MAX]) {
    for (const how of ['rename', 'link'] as const) {
      const writer = new BaseWriter(root);
      for (let i = 0; i < open; i++) writer.lstat(`d${i}/f`);
      writer[how](`d0/f`, `to/${how}${open}`);
      t.equal(fs.readFileSync(path.join(dir, 'to', `${how}${open}`), 'utf8'), '0', how);
      writer.rename(`to/${how}${open}`, how === 'rename' ? 'd0/f' : `d0/spare${open}`);
      writer.close();
    }
  }
});
