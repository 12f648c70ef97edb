/** What people see on a terminal: widths, tables, rates. */
import t from 'tap';
import { nearCommands } from '../../../src/cli/near-commands.js';
import { Meter, progressText, timeText } from '../../../src/cli/progress-text.js';
import { formatTable } from '../../../src/cli/table.js';
import { cutMiddle, displayWidth } from '../../../src/cli/width.js';

t.test('widths as terminals count them', (t) => {
  const widths: [string, number][] = [
    ['', 0],
    ['plain', 5],
    ['naïve', 5],
    ['nai\u0308ve', 5],
    ['日本語', 6],
    ['한국', 4],
    ['\u1112\u1161\u11ab', 2],
    ['ｶﾅ', 2],
    ['Ｆｕｌｌ', 8],
    ['🎉!', 3],
    ['→ ✓', 3],
    ['a\u200bb', 2],
    ['עברית', 5],
  ];
  for (const [text, width] of widths) t.equal(displayWidth(text), width, JSON.stringify(text));
  t.end();
});

t.test('long names are cut in the middle', (t) => {
  t.equal(cutMiddle('short', 5), 'short');
  t.equal(cutMiddle('a-long-name', 7), 'a-l…ame');
  t.equal(cutMiddle('a-long-name', 6), 'a-l…me');
  t.equal(cutMiddle('日本語の名前', 7), '日…名前', 'wide characters are never halved');
  t.equal(
    cutMiddle('e\u0301e\u0301e\u0301e\u0301', 3),
    'e\u0301…e\u0301',
    'marks stay where they are',
  );
  for (let width = 1; width < 30; width++) {
    for (const text of [
      'a-long-name-of-a-snapshot',
      '日本語の長い名前のスナップ',
      '🎉🎉🎉🎉🎉🎉🎉',
    ]) {
      t.ok(displayWidth(cutMiddle(text, width)) <= width, `${text} in ${width}`);
    }
  }
  t.end();
});

t.test('a table fits the terminal, and is whole elsewhere', (t) => {
  const headings = ['NAME', 'CREATED', 'BY'];
  const time = '2026-11-30 12:00:00';
  const rows = [
    ['before-the-large-upgrade-of-the-data-base', time, 'cli'],
    ['日本語', time, 'control'],
  ];
  const whole = formatTable(headings, rows).split('\n');
  t.match(whole[1], `before-the-large-upgrade-of-the-data-base  ${time}  cli`);
  t.match(whole[2], new RegExp(`^日本語 {37}${time}  control$`), 'columns stay aligned');
  for (const width of [60, 50]) {
    const lines = formatTable(headings, rows, { width }).split('\n');
    for (const line of lines) t.ok(displayWidth(line) <= width, line);
    t.match(lines[1], /^before-\S*…\S*base? /, 'the name was cut');
    t.match(lines[1], time, 'the time was not');
  }
  for (const line of formatTable(headings, rows, { width: 30 }).split('\n')) {
    t.ok(displayWidth(line) <= 30, line);
  }
  t.equal(
    formatTable(
      ['A', 'N'],
      [
        ['x', '1'],
        ['y', '22'],
      ],
      { columns: 'numbers' },
    ),
    'A   N\nx   1\ny  22',
  );
  t.equal(formatTable(['A', 'B'], []), 'A  B');
  t.end();
});

t.test('progress says rate and time left', (t) => {
  const meter = new Meter();
  meter.add(0, 0);
  t.equal(meter.perSecond(), undefined);
  for (let s = 1; s <= 20; s++) meter.add(s * 1000, s * 1000);
  t.equal(meter.perSecond(), 1000);
  for (let s = 21; s <= 40; s++) meter.add(20_000 + (s - 20) * 10, s * 1000);
  t.equal(meter.perSecond(), 10, 'what was long ago does not count');
  const MiB = 2 ** 20;
  t.equal(progressText('bytes', 10 * MiB, 100 * MiB, 5 * MiB), '10M of 100M, 5.0M/s, 18 s left');
  t.equal(progressText('count', 5, 0, 2), '5, 2/s');
  t.equal(progressText('count', 5, 10, undefined), '5 of 10');
  t.equal(progressText('count', 5, 10, 0), '5 of 10, 0/s');
  t.same([0.2, 59, 61, 3599, 7500].map(timeText), [
    '1 s',
    '59 s',
    '1 min 1 s',
    '59 min',
    '2 h 5 min',
  ]);
  t.end();
});

t.test('unknown commands', (t) => {
  const commands = ['save', 'restore', 'snapshots', 'status', 'stats', 'sync', 'delete', 'umount'];
  t.same(nearCommands('stauts', commands), ['stats', 'status']);
  t.same(nearCommands('rollback', commands), ['restore']);
  t.same(nearCommands('unmount', commands), ['umount']);
  t.same(nearCommands('pull', commands), ['sync now']);
  t.same(nearCommands('frobnicate', commands), []);
  t.same(nearCommands('constructor', commands), []);
  t.end();
});
