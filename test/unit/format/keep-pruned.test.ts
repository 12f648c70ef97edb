/** What a standby keeps of what its primary deleted, as people write it. */
import t from 'tap';
import { formatKeepPruned, parseKeepPruned } from '../../../src/format/text/keep-pruned.js';

t.test('every form comes back as it is stored', async (t) => {
  const forms = {
    all: 'all',
    ' As-Primary ': 'as-primary',
    '0': 'as-primary',
    '12': '12 all',
    '12 all': '12 all',
    '24 hourly, 7 daily and 4 weekly': '24 hourly 7 daily 4 weekly',
  };
  for (const [text, stored] of Object.entries(forms)) {
    t.equal(formatKeepPruned(parseKeepPruned(text)), stored);
    t.equal(formatKeepPruned(parseKeepPruned(stored)), stored);
  }
});

t.test('anything else is refused with what was expected', async (t) => {
  for (const text of ['', 'some', '-1', '1.5', '3 fortnightly', 'every 1h', '99999999', 'all 3']) {
    t.throws(() => parseKeepPruned(text), { code: 'bad-schedule', message: /as-primary/ }, text);
  }
});
