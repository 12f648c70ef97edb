/** What README and the notes say of the sources, where a machine can compare the two. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';
import { CONTROL_FILES } from '../../src/control/commands/files.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (name: string): string => fs.readFileSync(path.join(root, name), 'utf8');

const below = (directory: string, ending: string): string[] =>
  fs
    .readdirSync(path.join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(directory, name));

const sources = below('src', '.ts').map((name) => ({ name, text: read(name) }));

/** The part of a text that begins with a heading, up to the next heading of any level. */
function section(text: string, heading: string): string {
  const start = text.indexOf(`\n${heading}\n`);
  if (start < 0) return '';
  const rest = text.slice(start + heading.length + 2);
  const end = rest.search(/\n#+ /);
  return end < 0 ? rest : rest.slice(0, end);
}

/** What stands in backquotes in the first column of the tables of a text. */
function firstColumn(text: string): string[] {
  const rows = text.split('\n').filter((line) => line.startsWith('| `'));
  return rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(last));
}

const last = (match: RegExpMatchArray): string => match.at(-1) ?? '';
const sorted = (names: Iterable<string>): string[] => [...new Set(names)].sort();

// --- errors ----------------------------------------------------------------

const ERRNO = /^E[A-Z0-9]+$/;
const CODE = /^[a-z0-9]+(-[a-z0-9]+)+$/;
/** Their first argument is a code, whatever it looks like. */
const ERROR_CLASSES = ['CommandError', 'Refusal'];
/** Their first argument is the code that a connection ends with. */
const ENDINGS = /\.(#?end|#?ended|close)$/;
/** `${what}-missing` in src/daemon/mount/mount-plan.ts. */
const PLACES = ['mountpoint', 'base'];

/** The texts an expression can be. */
function textsOf(node: ts.Expression | undefined): string[] {
  if (node === undefined) return [];
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isParenthesizedExpression(node)) return textsOf(node.expression);
  if (ts.isConditionalExpression(node)) {
    return [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)];
  }
  if (ts.isTemplateExpression(node) && node.head.text === '') {
    const [span, more] = node.templateSpans;
    if (span === undefined || more !== undefined) return [];
    return PLACES.map((place) => place + span.literal.text);
  }
  return [];
}

function codesOfCall(node: ts.CallExpression | ts.NewExpression): string[] {
  const given = node.arguments ?? [];
  const name = node.expression.getText();
  if (ERROR_CLASSES.includes(name)) return textsOf(given[0]);
  if (ENDINGS.test(name) && given.length >= 2) return textsOf(given[0]).filter(isCode);
  // A function that makes an error: a code, and behind it an errno.
  const errno = given.findIndex((one) => textsOf(one).some((text) => ERRNO.test(text)));
  return given.slice(0, Math.max(0, errno)).flatMap(textsOf).filter(isCode);
}

const isCode = (text: string): boolean => CODE.test(text);

function codesIn(name: string, text: string): string[] {
  const codes: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) codes.push(...codesOfCall(node));
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'code') {
      codes.push(...textsOf(node.initializer).filter(isCode));
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true));
  return codes;
}

t.test("reference.md's table of errors and the codes in the sources are the same", (t) => {
  const inSources = sorted(sources.flatMap(({ name, text }) => codesIn(name, text)));
  const listed = firstColumn(section(read('native-notes/reference.md'), '## Errors'));
  t.ok(inSources.length > 100, 'codes were found');
  const strangers = inSources.filter((code) => !listed.includes(code));
  t.same(strangers, [], 'a code that the sources give stands in the table');
  const unused = listed.filter((code) => !inSources.includes(code));
  t.same(unused, [], 'a code that stands in the table is given by the sources');
  t.same(listed.length, new Set(listed).size, 'a code stands there once');
  t.end();
});

// --- the stored format ------------------------------------------------------

/** Ways in which the sources name a key of the table `meta`. */
const META_KEYS = [
  /\b(?:readMeta|meta)(?:<[^()]*>)?\(\s*(?:\w+,\s*)?'(\w+)'/g,
  /\bputMeta\(\s*'(\w+)'/g,
  /\bTABLE\.meta,\s*Buffer\.from\('(\w+)'\)/g,
  /\bconst (?:\w+_)?META = '(\w+)'/g,
];

t.test("format.md's keys of meta and those of the sources are the same", (t) => {
  const inSources = sources.flatMap(({ text }) =>
    META_KEYS.flatMap((pattern) => [...text.matchAll(pattern)].map(last)),
  );
  const listed = firstColumn(
    section(read('native-notes/format.md'), '### Keys of `meta` (table 15)'),
  );
  t.ok(listed.length > 10, 'the table was found');
  // One key for each branch.
  t.same(sorted(listed.filter((key) => key !== 'branch/NAME')), sorted(inSources));
  t.end();
});

// --- control files -----------------------------------------------------------

t.test("reference.md's list of control files is the list", (t) => {
  const listed = firstColumn(section(read('native-notes/reference.md'), '## Control files'));
  t.same(sorted(listed), sorted(CONTROL_FILES.map(({ name }) => name)));
  t.end();
});

// --- signals ----------------------------------------------------------------

t.test('reference.md names the signals that a daemon listens to', (t) => {
  const files = ['daemon.ts', 'interrupted.ts'].map((name) => read(`src/daemon/serve/${name}`));
  const inSources = [...files.join('\n').matchAll(/'(SIG[A-Z0-9]+)'/g)].map(last);
  const line =
    read('native-notes/reference.md').match(/^Signals to the serving process: .*$/m)?.[0] ?? '';
  t.same(sorted([...line.matchAll(/`(SIG[A-Z0-9]+)`/g)].map(last)), sorted(inSources));
  t.end();
});

// --- citations --------------------------------------------------------------

/** `row S14`, `rules D4, F1`, `Figs 15B–D`: what is cited, one by one. */
function cited(text: string, words: string): string[] {
  const flat = text.replaceAll(/\n\s*(\*|\/\/) ?/g, ' ');
  const list = new RegExp(
    `\\b(?:${words}) ((?:[A-Z]?\\d+[A-Z]?(?:[–-][A-Z]?\\d*)?(?:, | and )?)+)`,
    'g',
  );
  return [...flat.matchAll(list)]
    .map(last)
    .flatMap((items) => items.split(/, | and /))
    .filter((item) => item !== '')
    .flatMap(eachOf);
}

/** `B1–B6` is six, `15B–D` three. */
function eachOf(item: string): string[] {
  const [, head = '', first = '', end = ''] =
    /^([A-Z]|\d+(?=[A-Z]))([A-Z]|\d+)[–-][A-Z]?([A-Z]|\d+)$/.exec(item) ?? [];
  if (head === '') return [item];
  const isNumber = /\d/.test(first);
  const from = isNumber ? Number(first) : first.charCodeAt(0);
  const to = isNumber ? Number(end) : end.charCodeAt(0);
  return Array.from({ length: to - from + 1 }, (_, i) =>
    isNumber ? `${head}${from + i}` : `${head}${String.fromCharCode(from + i)}`,
  );
}

/** The first column of the tables of a text, without backquotes around it. */
const plainColumn = (text: string): string[] => [...text.matchAll(/^\| ([A-Z]\d+) \|/gm)].map(last);

const tests = below('test', '.ts')
  .filter((name) => name !== 'test/unit/notes.test.ts')
  .map((name) => ({ name, text: read(name) }));
const design = read('native-notes/design.md');

/** What the sources, tests and notes cite that `known` does not have. */
function missing(words: string, known: readonly string[]): string[] {
  const notes = ['README.md', ...below('native-notes', '.md')];
  const texts = [...sources, ...tests, ...notes.map((name) => ({ name, text: read(name) }))];
  return texts.flatMap(({ name, text }) =>
    cited(text, words)
      .filter((one) => !known.includes(one))
      .map((one) => `${name}: ${one}`),
  );
}

t.test('what is cited by number stands in a note', (t) => {
  const notes = ['format', 'stream', 'intent-log', 'json'].map((name) =>
    read(`native-notes/${name}.md`),
  );
  const rules = notes.flatMap(plainColumn);
  t.same(missing('[Rr]ules?', rules), [], 'rules: format.md, stream.md, intent-log.md, json.md');
  const checked = sources.flatMap(({ text }) =>
    [...text.matchAll(/\b(?:add|guard)\(\s*'([A-Z]\d+)'/g)].map(last),
  );
  t.ok(checked.length > 20);
  t.same(sorted(checked.filter((rule) => !rules.includes(rule))), [], 'rules that check names');
  t.same(missing('[Rr]ows?(?= [VSLB])', plainColumn(design)), [], 'rows: design.md, section 9');
  const figures = section(design, "## 10. The patents' figures");
  t.same(missing('Figs?', cited(figures, 'Figs?')), [], 'figures: design.md, section 10');
  t.end();
});

t.test('a note that is cited exists, and so does the section', (t) => {
  const known = new Set(below('native-notes', '.md').map((name) => path.basename(name)));
  const strangers: string[] = [];
  for (const { name, text } of [...sources, ...tests]) {
    const flat = text.replaceAll(/\n\s*(\*|\/\/) ?/g, ' ');
    for (const [, file = ''] of flat.matchAll(/\b(?:native-notes\/)?([a-z0-9-]+\.md)\b/g)) {
      if (!known.has(file) && flat.includes(`native-notes/${file}`))
        strangers.push(`${name}: ${file}`);
    }
    for (const [, number = ''] of flat.matchAll(/design\.md, section (\d+)/g)) {
      if (!design.includes(`\n## ${number}. `)) strangers.push(`${name}: section ${number}`);
    }
    if (/\b(design section|seed 0\d\d|of the seeds)\b/.test(flat))
      strangers.push(`${name}: unreadable`);
  }
  t.same(strangers, []);
  t.end();
});

/** Paths as `src/fuse/loop/quiesce.ts`, or short for files below src. */
t.test('files that comments, README and the notes name exist', (t) => {
  const names = new Set([...sources, ...tests].map(({ name }) => name));
  const strangers: string[] = [];
  for (const { name, text } of sources) {
    for (const [, file = ''] of text.matchAll(/(?<=[ (`])([a-z0-9/-]+\.ts)(?=[ ),.;:'`])/g)) {
      const isThere = [...names].some((one) => one === file || one.endsWith(`/${file}`));
      if (!isThere) strangers.push(`${name}: ${file}`);
    }
  }
  for (const note of ['README.md', ...below('native-notes', '.md')]) {
    const text = read(note);
    for (const [, file = ''] of text.matchAll(/`([\w./-]+\.ts)`/g)) {
      if (file.endsWith('/NAME.ts')) continue;
      const isThere = [...names].some((name) => name === file || name.endsWith(`/${file}`));
      if (!isThere && !fs.existsSync(path.join(root, file))) strangers.push(`${note}: ${file}`);
    }
    for (const [, link = ''] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      const target = path.join(root, path.dirname(note), link);
      if (!fs.existsSync(target)) strangers.push(`${note}: ${link}`);
    }
  }
  t.same(strangers, []);
  t.end();
});

// --- architecture -----------------------------------------------------------

const roomsOfSources = sorted(sources.map(({ name }) => path.dirname(name).replace(/^src\/?/, '')));

t.test('architecture.svg is what the sources draw (npm run picture)', (t) => {
  const drawn = execFileSync(process.execPath, ['test/architecture.mjs', '--print'], { cwd: root });
  const stored = read('native-notes/architecture.svg');
  const rooms = (svg: string): string[] => [...svg.matchAll(/data-room="([^"]+)"/g)].map(last);
  t.same(sorted(rooms(stored)), roomsOfSources, 'its rooms are the folders of src');
  t.ok(stored === drawn.toString(), 'and so is the rest: npm run picture draws it anew');
  t.end();
});

t.test('architecture.md has a sentence for each room', (t) => {
  const table = section(read('native-notes/architecture.md'), '## Rooms');
  t.same(sorted(firstColumn(table)), roomsOfSources);
  t.end();
});

/** `Txg`, `StoreWriter.apply`, `#send`: names of the sources, not paths, values or commands. */
const NAMES = /`(#?[A-Za-z]\w*(?:\.\w+)?)`/g;
const allSources = sources.map(({ text }) => text).join('\n');
const isInSources = (name: string): boolean =>
  name.split('.').every((part) => new RegExp(`(?<!\\w)${part}(?!\\w)`).test(allSources));

t.test('names that architecture.md and glossary.md give are in the sources', (t) => {
  const walks = read('native-notes/architecture.md').split('\n## Rooms\n')[0] ?? '';
  const rows = read('native-notes/glossary.md')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  const words = rows.map((row) => row.split('|')[1] ?? '').join('\n');
  for (const [where, text] of Object.entries({ walks, words })) {
    const names = [...text.matchAll(NAMES)].map(last).filter((name) => !/\.(md|ts)$/.test(name));
    t.ok(names.length > 30, `names were found in the ${where}`);
    t.same(sorted(names.filter((name) => !isInSources(name))), [], `the ${where} are up to date`);
  }
  t.end();
});

t.test('contributing.md shows the example test as it is', (t) => {
  const [, shown = ''] = /```ts\n([\s\S]*?)```/.exec(read('native-notes/contributing.md')) ?? [];
  t.equal(shown, read('test/mount/example.test.ts'));
  t.end();
});
