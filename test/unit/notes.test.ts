/** What README and the notes say of the sources, where a machine can compare the two. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import ts from 'typescript';

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

t.test("README's table of errors and the codes in the sources are the same", (t) => {
  const inSources = sorted(sources.flatMap(({ name, text }) => codesIn(name, text)));
  const listed = firstColumn(section(read('README.md'), '## Errors'));
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
  t.same(sorted(listed), sorted(inSources));
  t.end();
});

// --- signals ----------------------------------------------------------------

t.test('README names the signals that a daemon listens to', (t) => {
  const inSources = [...read('src/daemon/serve/daemon.ts').matchAll(/'(SIG[A-Z0-9]+)'/g)].map(last);
  const line = read('README.md').match(/^Signals to the serving process: .*$/m)?.[0] ?? '';
  t.same(sorted([...line.matchAll(/`(SIG[A-Z0-9]+)`/g)].map(last)), sorted(inSources));
  t.end();
});
