/** Names of any bytes as text, as byte strings, and as they are shown. */
import fc from 'fast-check';
import t from 'tap';
import {
  byteStringOfText,
  bytesOfText,
  fsPath,
  hasRawBytes,
  quoted,
  shownName,
  shownText,
  textOfBytes,
  textOfByteString,
} from '../../../src/lib/byte-text.js';
import { parseCommandLine } from '../../../src/format/text/grammar.js';

t.test('any bytes come back, and UTF-8 is the text that it is', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const text = textOfBytes(bytes);
      const name = Buffer.from(bytes).toString('latin1');
      return (
        Buffer.compare(bytesOfText(text), bytes) === 0 &&
        byteStringOfText(text) === name &&
        textOfByteString(name) === text
      );
    }),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      return textOfBytes(Buffer.from(text)) === text && !hasRawBytes(text) && fsPath(text) === text;
    }),
  );
  // Pieces of UTF-8 in wrong places: what is whole stays, each other byte by itself.
  for (const hex of [
    'c3',
    'c328',
    'e282',
    'eda080',
    'c0af',
    'f4908080',
    'c3a4ffe282ac',
    'edb3bf',
  ]) {
    const bytes = Buffer.from(hex, 'hex');
    t.same(bytesOfText(textOfBytes(bytes)), bytes, hex);
  }
  t.equal(textOfBytes(Buffer.from('c3a4ffe282ac', 'hex')), 'ä\udcff€', "as Python's os.fsdecode");
  t.same(fsPath('a\udcff'), Buffer.from('61ff', 'hex'));
});

t.test('no two names are shown alike, and the control files read what is shown', async (t) => {
  t.equal(shownName('größe ✓'), 'größe ✓');
  t.equal(shownName('a\udcff'), '"a\\xff"');
  t.equal(shownName('a\\xff'), '"a\\\\xff"');
  t.equal(shownName('say "hi"\n\u0085'), '"say \\"hi\\"\\x0a\\xc2\\x85"');
  t.equal(shownText('gone: a\udcff\u001b[2J'), 'gone: a\\xff\\x1b[2J');
  const unit = fc.constantFrom('a', '\\', 'x', 'f', '"', '\n', ' ', '=', 'ä', '\udcff', '\u0085');
  fc.assert(
    fc.property(fc.string({ unit, minLength: 1, maxLength: 12 }), (name) => {
      const real = textOfBytes(bytesOfText(name));
      const shown = shownName(real);
      const word = shown.startsWith('"') ? shown : quoted(real);
      return parseCommandLine(`${word}\n`).name === real;
    }),
    { numRuns: 3000 },
  );
});
