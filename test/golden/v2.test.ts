/** A volume of format 2, as a killed process left it: its log is replayed, or read over it in memory. */
import t from 'tap';
import { openedAsKilled, opensAsKilled } from './killed.js';

opensAsKilled(t, 'v2');

t.test('a snapshot that was locked then is locked now', (t) => {
  const { volume } = openedAsKilled(t, 'v2');
  t.throws(() => volume.deleteSnapshot('first', 'test'), { code: 'snapshot-locked' });
  volume.close();
  t.end();
});
