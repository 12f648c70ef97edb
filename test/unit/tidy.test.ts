/** What keeps the house clean and no linter knows: see the rules below. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const LINES_MAX = 600;
/** Members that only packages call. */
const CALLED_BY_PACKAGES: ReadonlySet<string> = new Set(['constructor', 'readKey', 'writeKey']);

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
  breaking((text, name) => !name.startsWith('src/volume/') && /\.core\b/.test(text)),
  [],
  'Volume is the door: only volume/ reaches its core',
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

/** Text without its comments. */
const code = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');

/** Public methods and accessors whose name stands nowhere else in src: only tests use them. */
function unusedMembers(): string[] {
  const counts = new Map<string, number>();
  const declared: { name: string; member: string }[] = [];
  for (const { name, text } of sources) {
    const body = code(text);
    for (const [word] of body.matchAll(/\b\w+/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
    const members = body.matchAll(
      /^ {2}(?:static |async |override |get |set )*([a-z]\w*)(?:<[^>\n]*>)?\((?:[^\n]*[{(,])?$/gm,
    );
    for (const [, member = ''] of members) declared.push({ name, member });
  }
  const times = (member: string): number => declared.filter((d) => d.member === member).length;
  return declared
    .filter(({ member }) => !CALLED_BY_PACKAGES.has(member))
    .filter(({ member }) => (counts.get(member) ?? 0) <= times(member))
    .map(({ name, member }) => `${name}: ${member}`);
}

t.same(unusedMembers(), [], 'a member is there for the product, not for tests alone');
