/** JSON with names of any bytes. */
import fc from 'fast-check';
import t from 'tap';
import { fromJson, jsonLine, toJson } from '../../../src/format/text/json-text.js';
import { bytesOfText, textOfBytes } from '../../../src/lib/byte-text.js';

t.test('UTF-8 stands as it is; other bytes follow in base64', async (t) => {
  t.equal(jsonLine({ path: 'x\nä' }), '{"path":"x\\nä"}\n');
  t.equal(toJson({ path: 'a\udcff', n: 1 }), '{"path":"\\"a\\\\xff\\"","pathBase64":"Yf8=","n":1}');
  t.equal(
    toJson({ names: ['a', '\udcff'] }),
    '{"names":["a","\\"\\\\xff\\""],"namesBase64":[null,"/w=="]}',
  );
  t.equal(toJson({ message: 'no \udcff' }), '{"message":"no \\\\xff"}', 'a sentence');
  t.equal(toJson({ path: 'a\\udcff' }), '{"path":"a\\\\udcff"}', 'text that looks like it');
});

t.test('what is written is read', async (t) => {
  const text = fc
    .uint8Array({ maxLength: 6 })
    .map(textOfBytes)
    .map((one) => textOfBytes(bytesOfText(one)));
  const leaf = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null));
  const key = fc.constantFrom('path', 'to', 'names', 'deep');
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(leaf, { maxLength: 3 }),
      fc.dictionary(key, tie('tree'), { noNullPrototype: true, maxKeys: 3 }),
      fc.array(fc.dictionary(key, tie('tree'), { noNullPrototype: true }), { maxLength: 2 }),
    ),
  }));
  fc.assert(
    fc.property(fc.record({ value: tree }), (value) => {
      t.same(fromJson(toJson(value)), value);
    }),
    { numRuns: 500 },
  );
});
