/** What keeps the house clean and no linter knows: see the rules below. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const LINES_MAX = 600;

const filesBelow = (name: string): string[] =>
  fs
    .readdirSync(path.join(root, name), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => path.join(name, file));

const sources = filesBelow('src').map((name) => ({
  name,
  text: fs.readFileSync(path.join(root, name), 'utf8'),
}));

/** The sources that break a rule. */
const breaking = (isBroken: (text: string, name: string) => boolean): string[] =>
  sources.filter(({ text, name }) => isBroken(text, name)).map(({ name }) => name);

t.same(
  breaking((text) => text.split('\n').length - 1 > LINES_MAX),
  [],
  `a source file is one idea: at most ${LINES_MAX} lines`,
);
t.same(
  breaking((text) => !/^(#!.*\n)?\/\*\*/.test(text)),
  [],
  'a source file starts by saying what it is for',
);
t.same(
  breaking((text) => /\b(TODO|FIXME|XXX|HACK)\b/.test(text)),
  [],
  'what is left to do stands in the tracker, not in the sources',
);
t.same(
  breaking((text) => /\u2014/.test(text)),
  [],
  'sentences get by without long dashes',
);
t.same(
  breaking((_, name) => /(^|\/)(utils?|helpers?|misc|common|index)\.ts$/.test(name)),
  [],
  'a file is named for its idea',
);
t.same(
  breaking((text) => /\b(biome-ignore|@ts-ignore|@ts-expect-error)\b(?!.*:\s*\S)/.test(text)),
  [],
  'a rule is only broken with a reason',
);
t.same(
  [...filesBelow('src'), ...filesBelow('test')].filter(
    (name) =>
      /\.only\(/.test(fs.readFileSync(path.join(root, name), 'utf8')) &&
      name !== 'test/unit/tidy.test.ts',
  ),
  [],
  'no test was left running alone',
);
