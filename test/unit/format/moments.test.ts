/** Points in time, times of day across changes of the clock, and words that mean snapshots. */
import t from 'tap';
import { chooseSnapshots, unknownSnapshot } from '../../../src/format/text/choose.js';
import { type DayTimes, nextDayTime } from '../../../src/format/text/day-times.js';
import { parseMoment } from '../../../src/format/text/moment.js';
import { foldedNote, noteObjection } from '../../../src/format/text/note.js';
import { formatSchedule, parseEvery, parseSchedule } from '../../../src/format/text/schedule.js';

process.env['TZ'] = 'Europe/Berlin';
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const utc = (text: string): number => Date.parse(`${text}Z`);
const NOW = utc('2026-11-30T12:00:00');

t.test('points in time', async (t) => {
  const is = (text: string, expected: string): void =>
    void t.equal(new Date(parseMoment(text, NOW) ?? 0).toISOString(), `${expected}.000Z`, text);
  is('now', '2026-11-30T12:00:00');
  is('90s', '2026-11-30T11:58:30');
  is('2h', '2026-11-30T10:00:00');
  is('2 hours ago', '2026-11-30T10:00:00');
  is('1 Week', '2026-11-23T12:00:00');
  is('yesterday', '2026-11-28T23:00:00');
  is('today', '2026-11-29T23:00:00');
  is('2026-11-30', '2026-11-29T23:00:00');
  is('2026-07-01 12:00', '2026-07-01T10:00:00');
  is('2026-11-30T12:00:05Z', '2026-11-30T12:00:05');
  is('2026-11-30 12:00 UTC', '2026-11-30T12:00:00');
  is('2026-11-30 12:00:00 +0100', '2026-11-30T11:00:00');
  is('2026-11-30 12:00 -05:30', '2026-11-30T17:30:00');
  is('2026-03-29 02:30', '2026-03-29T01:30:00');
  is('2026-10-25 02:30', '2026-10-25T00:30:00');
  for (const text of ['', 'x', '5', '5 parsecs', '2026-02-30', '2026-13-01', '2026-11-30 24:00']) {
    t.equal(parseMoment(text, NOW), undefined, text);
  }
});

t.test('times of day are local, and come once a day when the clock is changed', async (t) => {
  const times = (at: DayTimes, from: string, count: number): string[] => {
    const found: string[] = [];
    for (let ms = utc(from); found.length < count; ) {
      ms = nextDayTime(at, ms);
      found.push(new Date(ms).toISOString().slice(5, 16));
    }
    return found;
  };
  const daily = (minute: number): DayTimes => ({ days: undefined, minutes: [minute] });
  const spring = times(daily(150), '2026-03-27T12:00:00', 3);
  t.same(spring, ['03-28T01:30', '03-29T01:30', '03-30T00:30'], '02:30 is skipped: 03:30');
  const autumn = times(daily(150), '2026-10-23T12:00:00', 3);
  t.same(autumn, ['10-24T00:30', '10-25T00:30', '10-26T01:30'], '02:30 comes twice: the first');
  const weekly = { days: [1, 4], minutes: [0, 720] };
  t.same(times(weekly, '2026-11-30T11:00:00', 3), ['12-02T23:00', '12-03T11:00', '12-06T23:00']);
  let last = utc('2026-01-01T00:00:00');
  for (let day = 0; day < 370; day++) {
    const next = nextDayTime(daily((day * 37) % 1440), last);
    t.ok(next > last && next - last <= 2 * DAY_MS + HOUR_MS);
    last = next;
  }
});

t.test('schedules at times of day', async (t) => {
  const same = (text: string, canonical: string): void => {
    const schedule = parseSchedule(text);
    t.equal(formatSchedule(schedule), canonical, text);
    t.same(parseSchedule(canonical), schedule);
  };
  same('daily at 03:00', 'daily at 03:00');
  same('Daily at 15:00 and 3:05, keep 7 days', 'daily at 03:05 15:00, keep 7 daily');
  same(
    'weekly on Thursday, mon at 12:30; keep 4 weekly',
    'weekly on mon thu at 12:30, keep 4 weekly',
  );
  const says = (text: string, message: RegExp): void =>
    void t.throws(() => parseSchedule(text), { code: 'bad-schedule', message });
  says('daily', /"at" and a time of day/);
  says('daily at 25:00', /"25:00" stands where a time of day/);
  says('daily at noon', /"noon" stands/);
  says('weekly at 03:00', /"weekly" is followed by "on"/);
  says('weekly on someday at 03:00', /where a weekday/);
  t.throws(() => parseEvery('daily at 03:00'), { message: /without a time of day/ });
});

t.test('which snapshots are meant', async (t) => {
  const kinds = { 'undo-1': 'undo', 'diverged-3': 'diverged' } as Record<string, string>;
  const names = ['a', 'undo-1', 'b', 'auto-1', 'auto-2', 'diverged-3', 'x..y', 'we*rd', 'c'];
  const all = names.map((name) => ({ name, kind: kinds[name] ?? 'user' }));
  const chosen = (words: string[], of: 'saved' | 'every kind' = 'saved'): string => {
    const result = chooseSnapshots(words, all, of);
    return [...result.chosen.map(({ name }) => name), ...result.unknown.map((w) => `?${w}`)].join();
  };
  t.equal(chosen(['c', 'a', 'none']), 'a,c,?none', 'in the order of the list');
  t.equal(chosen(['a..auto-1']), 'a,b,auto-1', 'both ends; what a command left is not chosen');
  t.equal(chosen(['auto-1..a']), '?auto-1..a', 'from the older to the newer one only');
  const why = (word: string): string => unknownSnapshot(word, all).message;
  t.match(why('auto-1..a'), /: auto-1 is newer than a \(a\.\.auto-1\)$/);
  t.match(why('auto-3'), /^no snapshot "auto-3"; did you mean auto-1, auto-2\?$/);
  t.match(why('a..auto-9'), /^no snapshot matches .*; did you mean auto-1, auto-2\?$/);
  t.match(why('z*'), /^no snapshot matches "z\*"$/);
  t.equal(chosen(['undo-1..b']), 'undo-1,b', 'an end is chosen whatever it is');
  t.equal(chosen(['a..auto-1'], 'every kind'), 'a,undo-1,b,auto-1');
  t.equal(chosen(['..b', 'we\\*rd..']), 'a,b,?we\\*rd..');
  t.equal(chosen(['x..y']), 'x..y', 'a name that exists is that snapshot');
  t.equal(chosen(['x..y..c']), 'x..y,we*rd,c');
  t.equal(chosen(['..', 'a..nowhere']), '?..,?a..nowhere');
  t.equal(chosen(['*']), 'a,b,auto-1,auto-2,x..y,we*rd,c');
  t.equal(chosen(['undo-*', 'd*']), 'undo-1,?d*');
  t.equal(chosen(['auto-?', '[a-b]', '[!a]']), 'a,b,auto-1,auto-2,c');
  t.equal(chosen(['we*rd', 'we\\*??', '[z-a]']), 'we*rd,?[z-a]');
  t.equal(chosen(['latest'], 'every kind'), 'c');
  t.equal(chosen(['latest']), '?latest', 'nothing is deleted by that word');
});

t.test('notes', async (t) => {
  t.equal(foldedNote('one\n\n  two\r\nthree'), 'one ⏎ two ⏎ three');
  t.equal(noteObjection('ü'.repeat(2048)), undefined);
  t.match(noteObjection('ü'.repeat(2049)), /longer/);
  t.match(noteObjection(' x'), /white space/);
  t.match(noteObjection('a\0b'), /NUL/);
});
