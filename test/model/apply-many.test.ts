/** Planning an apply of many files takes time in proportion to them, in short pieces. */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { S_IFDIR, S_IFREG } from '../../src/lib/file-mode.js';
import { ROOT_INODE } from '../../src/format/records/tables.js';
import { planned } from '../../src/volume/apply/planning.js';
import { ApplyRun } from './apply-run.js';

const WHO = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const FILES = 16_000;
const DIRECTORIES = 40;
/** The quadratic planner took 9 s for the longest of them. */
const PIECE_MS = 1500;

t.test('many new files', (t) => {
  const run = new ApplyRun(fs.mkdtempSync(join(tmpdir(), 'apply-many-')));
  t.teardown(() => run.dispose());
  const { volume } = run;
  for (let d = 0; d < DIRECTORIES; d++) {
    const { ino } = volume.create(WHO, ROOT_INODE, `d${d}`, { mode: S_IFDIR | 0o755 });
    for (let i = 0; i < FILES / DIRECTORIES; i++) {
      if (!volume.beginChange()) volume.pump();
      volume.create(WHO, ino, `f${i}`, { mode: S_IFREG | 0o644 });
    }
  }
  const layer = run.seal();
  for (const paths of [[], ['d7']]) {
    const work = planned(volume, volume.viewAt(layer), paths);
    let longestMs = 0;
    for (let isDone = false; !isDone; ) {
      const startMs = performance.now();
      const { done, value } = work.next();
      longestMs = Math.max(longestMs, performance.now() - startMs);
      isDone = done === true;
      if (!done) continue;
      const wanted = paths.length === 0 ? FILES + DIRECTORIES : FILES / DIRECTORIES + 1;
      t.equal(value.plan.items.length, wanted);
    }
    t.ok(longestMs < PIECE_MS, `the longest piece took ${Math.round(longestMs)} ms`);
  }
  t.end();
});
