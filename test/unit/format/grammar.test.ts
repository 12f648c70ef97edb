import * as fc from 'fast-check';
import t from 'tap';
import { textOfBytes } from '../../../src/lib/byte-text.js';
import { CommandError } from '../../../src/lib/errors.js';
import {
  checkSnapshotName,
  type CommandLine,
  formatCommandLine,
  MAX_COMMAND_LENGTH,
  nearMatches,
  parseCommandLine,
  refuseUnknownOptions,
} from '../../../src/format/text/grammar.js';

function plain(line: CommandLine): { name?: string; options: Record<string, string> } {
  const options = Object.fromEntries(line.options);
  return line.name === undefined ? { options } : { name: line.name, options };
}

type Assertions = Pick<typeof t, 'ok' | 'equal' | 'match' | 'fail'>;

function refused(t: Assertions, input: string | Uint8Array, message: RegExp): void {
  try {
    parseCommandLine(input);
    t.fail(`accepted ${String(input).slice(0, 40)}`);
  } catch (error) {
    t.ok(error instanceof CommandError, 'a CommandError');
    const { code, errno, message: text } = error as CommandError;
    t.equal(code, 'bad-command-line');
    t.equal(errno, 'EINVAL');
    t.match(text, message);
    t.ok(text.length < 400, 'a message a person can read');
  }
}

t.test('command lines', (t) => {
  const cases: [string, { name?: string; options: Record<string, string> }][] = [
    ['', { options: {} }],
    ['\n', { options: {} }],
    [' \t ', { options: {} }],
    ['before\n', { name: 'before', options: {} }],
    ['before\r\n', { name: 'before', options: {} }],
    ['  before  wait=1\t', { name: 'before', options: { wait: '1' } }],
    ['to=after before', { name: 'before', options: { to: 'after' } }],
    ['"two words"', { name: 'two words', options: {} }],
    ['two\\ words', { name: 'two words', options: {} }],
    ['"say \\"hi\\" \\\\"', { name: 'say "hi" \\', options: {} }],
    ['a"b c"d', { name: 'ab cd', options: {} }],
    ['""', { name: '', options: {} }],
    ['note="a b=c" x=', { options: { note: 'a b=c', x: '' } }],
    ['x=a=b', { options: { x: 'a=b' } }],
    ['"a=b"', { name: 'a=b', options: {} }],
    ['a\\=b', { name: 'a=b', options: {} }],
    ['"ke"y="v"', { options: { key: 'v' } }],
    ['größe-✓', { name: 'größe-✓', options: {} }],
    ['__proto__', { name: '__proto__', options: {} }],
    ['two\\x0alines a=\\x20', { name: 'two\nlines', options: { a: ' ' } }],
    ['"\\xc3\\xa4\\xff"x', { name: 'ä\udcffx', options: {} }],
    ['\\xzz', { name: 'xzz', options: {} }],
  ];
  for (const [line, expected] of cases) {
    t.same(plain(parseCommandLine(line)), expected, JSON.stringify(line));
    t.same(plain(parseCommandLine(Buffer.from(line))), expected);
  }
  t.end();
});

t.test('invalid lines are refused', (t) => {
  refused(t, 'a b', /one name expected/);
  refused(t, '"a', /quote/);
  refused(t, 'a\\', /backslash/);
  refused(t, 'a\nb', /second line/);
  refused(t, 'a\n\n', /second line/);
  refused(t, 'a\0b', /NUL/);
  refused(t, 'x=1 x=2', /twice/);
  refused(t, '=1', /option key/);
  refused(t, 'X=1', /option key/);
  refused(t, '__proto__=1', /option key/);
  refused(t, 'a\\x00b', /NUL/);
  refused(t, 'x'.repeat(MAX_COMMAND_LENGTH + 1), /longer/);
  refused(t, 'é'.repeat(MAX_COMMAND_LENGTH / 2 + 1), /longer/);
  t.equal(parseCommandLine('x'.repeat(MAX_COMMAND_LENGTH)).name?.length, MAX_COMMAND_LENGTH);
  t.throws(() => refuseUnknownOptions(parseCommandLine('a wiat=1'), ['wait']), {
    code: 'bad-command-line',
    message: /wiat.*wait/,
  });
  t.doesNotThrow(() => refuseUnknownOptions(parseCommandLine('a wait=1'), ['wait']));
  t.throws(() => formatCommandLine({ name: 'a\0b', options: new Map() }));
  t.throws(() => formatCommandLine({ options: new Map([['A', '']]) }));
  t.end();
});

const word = fc.oneof(
  fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
  fc.uint8Array({ min: 1, maxLength: 12 }).map(textOfBytes),
);
const key = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);

t.test('a formatted line parses back', (t) => {
  fc.assert(
    fc.property(fc.option(word), fc.dictionary(key, word), (name, options) => {
      const line: CommandLine = {
        ...(name === null ? {} : { name }),
        options: new Map(Object.entries(options)),
      };
      const parsed = parseCommandLine(Buffer.from(formatCommandLine(line)));
      return (
        parsed.name === line.name &&
        JSON.stringify([...parsed.options]) === JSON.stringify([...line.options])
      );
    }),
  );
  t.end();
});

t.test('garbage is answered, in linear time', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        parseCommandLine(bytes);
      } catch (error) {
        return error instanceof CommandError;
      }
      return true;
    }),
  );
  for (const unit of [
    '"',
    '\\',
    ' ',
    '=',
    'a=',
    'a ',
    '" ',
    '\\"',
    '\n',
    '\r',
    '\r\n',
    'é',
    '\xff',
  ]) {
    for (const length of [MAX_COMMAND_LENGTH, 2 ** 20]) {
      const garbage = unit.repeat(length / unit.length);
      const startMs = performance.now();
      for (const input of [garbage, Buffer.from(garbage), Buffer.from(garbage, 'latin1')]) {
        try {
          parseCommandLine(input);
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
        }
      }
      checkSnapshotName(garbage);
      nearMatches(garbage, [garbage, 'abc']);
      const elapsedMs = performance.now() - startMs;
      t.ok(elapsedMs < 1000, `${JSON.stringify(unit)} × ${length}: ${elapsedMs.toFixed(1)} ms`);
    }
  }
  t.end();
});

t.test('snapshot names', (t) => {
  const good = ['a', 'before-upgrade', '2024-01-02T03:04:05', 'größe', 'two words', '…', '.hidden'];
  good.push('latest-1', 'Undo-x', 'a'.repeat(255), 'é'.repeat(127));
  for (const name of good) t.equal(checkSnapshotName(name), undefined, name);
  const bad: [string, RegExp][] = [
    ['', /empty/],
    ['a'.repeat(256), /255/],
    ['é'.repeat(128), /255/],
    ['a/b', /slash/],
    ['a\nb', /control/],
    ['a\x7f', /control/],
    ['a\u0085', /control/],
    ['a\u2028b', /control/],
    ['.', /names a directory/],
    ['..', /names a directory/],
    ['latest', /newest/],
    [' a', /space/],
    ['a ', /space/],
    ['undo-1', /undo snapshots/],
    ['a\ud800', /Unicode/],
  ];
  // Not the name as the test's name: TAP does not survive control characters.
  for (const [name, reason] of bad) t.match(checkSnapshotName(name), reason, String(reason));
  t.equal(checkSnapshotName('undo-1', 'existing'), undefined);
  t.match(checkSnapshotName('latest', 'existing'), /newest/);
  t.end();
});

t.test('near matches', (t) => {
  const names = ['before', 'before-upgrade', 'after', 'Monday', 'tuesday', 'xyz'];
  t.same(nearMatches('befor', names), ['before', 'before-upgrade']);
  t.same(nearMatches('BEFORE', names), ['before', 'before-upgrade']);
  t.same(nearMatches('mnoday', names), ['Monday']);
  t.same(nearMatches('q', names), []);
  t.same(nearMatches('', names), []);
  t.same(nearMatches('abc', []), []);
  t.equal(nearMatches('s1', ['s2', 's3', 's4', 's5', 's6', 's7', 's8']).length, 5);
  t.same(nearMatches('s-10', ['s-1', 's-100', 's-10x', 's-2000000']), ['s-1', 's-100', 's-10x']);

  const distance = (a: string, b: string): number => {
    let above = [...Array(b.length + 1).keys()];
    for (let i = 1; i <= a.length; i++) {
      const row = [i];
      for (let j = 1; j <= b.length; j++) {
        const cost = a[i - 1] === b[j - 1] ? 0 : 1;
        row[j] = Math.min(
          (above[j - 1] as number) + cost,
          (above[j] as number) + 1,
          (row[j - 1] as number) + 1,
        );
      }
      above = row;
    }
    return above[b.length] as number;
  };
  const short = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
  fc.assert(
    fc.property(short, short, (a, b) => {
      const d = distance(a, b);
      const near = d <= 3 && d < Math.max(a.length, b.length, 1);
      const expected = near || (a !== '' && b.startsWith(a));
      return (nearMatches(a, [b]).length === 1) === expected;
    }),
    { numRuns: 2000 },
  );
  t.end();
});
