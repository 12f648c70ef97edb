/** The words of the command line, with every byte that the kernel has. */
import t from 'tap';
import { wordsOf } from '../../../src/cli/words.js';

const line = (...words: string[]): Buffer => Buffer.from(`${words.join('\0')}\0`, 'latin1');

t.test('the bytes that Node lost come back', async (t) => {
  const given = ['versions', 'f\ufffd', '', '\ufffd'];
  const raw = line('node', '--flag', 'main.js', 'versions', 'f\xff', '', '\xef\xbf\xbd');
  t.same(wordsOf(given, raw), ['versions', 'f\udcff', '', '\ufffd']);
});

t.test('a line that somebody wrote over is not believed', async (t) => {
  t.same(wordsOf(['f\ufffd'], Buffer.alloc(0)), ['f\ufffd']);
  t.same(wordsOf(['f\ufffd'], line('node', 'title')), ['f\ufffd']);
});
