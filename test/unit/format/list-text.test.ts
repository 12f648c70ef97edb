/** Long lists in answers: the same JSON, made in pieces. */
import t from 'tap';
import { byteStringOfText, textOfBytes } from '../../../src/lib/byte-text.js';
import { workNow } from '../../../src/lib/work.js';
import { fromJson, jsonLine } from '../../../src/format/text/json-text.js';
import { answerLine, withListTexts, withoutLists } from '../../../src/format/text/list-text.js';

const items = Array.from({ length: 5000 }, (_, i) => ({
  kind: 'added',
  path: i % 7 === 0 ? textOfBytes(Buffer.from([0x61, 0xff, i & 255])) : `d/${i} "é"`,
}));

t.test('an answer reads the same, whatever its bytes', (t) => {
  const answer = { ok: true, items, summary: { added: 5000 }, few: [{ a: 1 }], truncated: false };
  const texts = workNow(withListTexts(answer));
  t.not(texts.items, items);
  t.equal(texts.few, answer.few, 'a short list stays');
  t.strictSame(fromJson(answerLine(texts).toString()), answer);
  const copied = structuredClone(texts);
  t.strictSame(fromJson(answerLine(copied).toString()), answer, 'through another thread');
  t.equal(answerLine({ ok: true }).toString(), jsonLine({ ok: true }));
  t.ok(byteStringOfText(items[0]?.path ?? '').includes('\xff'));
  t.strictSame(fromJson(answerLine(workNow(withListTexts({ items }))).toString()), { items });
  t.end();
});

t.test('it is made in pieces; events have no long lists', (t) => {
  const work = withListTexts({ items });
  let pieces = 0;
  while (work.next().done !== true) pieces++;
  t.ok(pieces >= 5000 / 64);
  const texts = workNow(withListTexts({ ok: true, items }));
  t.strictSame(withoutLists(texts), { ok: true, items: [], truncated: true });
  const short = { items: [] };
  t.equal(withoutLists(short), short);
  t.end();
});
