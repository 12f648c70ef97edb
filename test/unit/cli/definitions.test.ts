/** The definitions of all commands: what help, completions and man pages need of each. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { COMMAND_GROUPS } from '../../../src/cli/commands/commands.js';
import { shapesOf } from '../../../src/cli/completion/shapes.js';
import { manPages } from '../../../src/cli/man/pages.js';
import { makeProgram } from '../../../src/cli/program.js';
import { fullName, withDescendants } from '../../../src/cli/program-walk.js';

const program = await makeProgram();
const commands = withDescendants(program).slice(1);
const source = fileURLToPath(new URL('../../../src', import.meta.url));

t.test('every command has what people look for', (t) => {
  // Earlier names of a command are not listed.
  const listed = ({ parent }: (typeof commands)[0]) => parent?.createHelp().visibleCommands(parent);
  for (const command of commands.filter((one) => listed(one)?.includes(one))) {
    const name = fullName(command);
    t.ok(command.description(), `${name}: a description`);
    const summary = command.summary() || command.description();
    t.ok(summary.length <= 60, `${name}: a summary that fits the list of commands`);
    t.match(summary, /^[^A-Z].*[^.]$/, `${name}: the summary is a phrase`);
    if (command.commands.length > 0) continue;
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
    t.match(help, new RegExp(`Examples?:\n  ${name}\\b`), `${name}: an example`);
    t.match(help, '-C, --directory', `${name}: -C`);
    t.notMatch(help, /default: ["[]|\(default [^:]/, `${name}: defaults as people give them`);
  }
  t.end();
});

t.test('completions know what every placeholder stands for', (t) => {
  const shapes = shapesOf(program);
  for (const shape of shapes) {
    for (const { name, kind } of shape.arguments) t.not(kind, 'unknown', `${shape.path} ${name}`);
    for (const { long, value } of shape.options)
      t.not(value?.kind, 'unknown', `${shape.path} ${long}`);
  }
  const at = (name: string) => shapes.find((shape) => shape.path === name);
  t.match(at('restore'), { arguments: [{ kind: { names: 'snapshots' } }] });
  t.match(at('peer remove'), { arguments: [{ kind: { names: 'peers' } }, {}] });
  t.match(at('snapshots'), { aliases: ['list'] });
  t.match(at('')?.commands.at(-1), { name: 'help' });
  t.end();
});

const below = (directory: string): string[] =>
  fs.readdirSync(path.join(source, directory)).map((name) => path.join(directory, name));

/** The modules that are loaded when a file is: its imports that are not made by `import()`. */
function loadedBy(file: string): { files: string[]; packages: string[] } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (name: string): void => {
    if (files.has(name)) return;
    files.add(name);
    const text = fs.readFileSync(name, 'utf8');
    for (const [, specifier = ''] of text.matchAll(
      /^(?:import|export) (?!type )[^;]*?from '([^']+)'/gm,
    )) {
      if (specifier.startsWith('.'))
        visit(path.resolve(path.dirname(name), specifier.replace(/\.js$/, '.ts')));
      else if (!specifier.startsWith('node:')) packages.add(specifier);
    }
  };
  visit(path.join(source, file));
  return { files: [...files], packages: [...packages].sort() };
}

t.test('a command starts without what it may not need', (t) => {
  // Measured: koffi, lmdb and what stands on them take longer to load than Node.js itself.
  t.same(loadedBy('cli/run.ts').packages, ['commander']);
  t.ok(loadedBy('cli/run.ts').files.length < 20);
  for (const file of ['commands', 'mount'].flatMap((room) => below(`cli/${room}`))) {
    // Two change files as Node.js can't, the third one mounts.
    if (/restore-files|apply-theirs|mount-helper/.test(file)) continue;
    const { files, packages } = loadedBy(file);
    t.ok(
      packages.every((name) => name === 'commander'),
      `${file}: ${packages.join(', ')}`,
    );
    t.ok(files.length < 50, `${file}: ${files.length} files`);
  }
  t.same(loadedBy('cli/main.ts').packages, []);
  t.ok(loadedBy('cli/completion/names.ts').files.length < 60);
  t.end();
});

t.test('a command alone is what it is among all', async (t) => {
  const sources = COMMAND_GROUPS.flatMap((group) => group.sources);
  for (const { words } of sources) {
    const [word = 'completion'] = words;
    const alone = await makeProgram(['-C', '/', word]);
    const has = ({ commands }: typeof program): string[] =>
      commands.flatMap((one) => [one.name(), ...one.aliases()]);
    if (words.length === 0) t.same(has(alone), has(program), 'it knows all others');
    else t.same(has(alone), [...words], word);
    const help = (from: typeof program): string =>
      from.commands.find((one) => one.name() === word)?.helpInformation() ?? '';
    t.equal(help(alone), help(program), `${word}: its help`);
  }
  const all = sources.flatMap(({ words }) => words);
  t.equal(new Set(all).size, all.length, 'each word has one command');
});

t.test('every command has a man page that says what its help says', (t) => {
  const pages = new Map(manPages(program).map(({ file, text }) => [file, text]));
  t.match(pages.get('shadowfs.1'), /\.SS Everyday\n/);
  const restore = pages.get('shadowfs-restore.1') ?? '';
  for (const part of ['.TH SHADOWFS\\-RESTORE 1', '.SH SYNOPSIS', '.SH EXAMPLES', '\\-\\-json']) {
    t.ok(restore.includes(part), part);
  }
  t.ok(pages.has('shadowfs-peer-list.1'), 'also one that lies deeper');
  t.notOk(pages.has('shadowfs-revert.1'), 'none for an earlier name');
  for (const [file, text] of pages) {
    t.notMatch(text, /^[.'](?!(TH|SH|SS|TP|B|PP|nf|fi)\b)/m, `${file}: no request by accident`);
  }
  t.end();
});

t.test('the scripts are shell that the shells understand', (t) => {
  const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
  for (const shell of ['bash', 'zsh', 'fish']) {
    // Throws when it is not installed: mount-scripts/setup --tests does that.
    execFileSync(shell, ['-c', ':']);
    const script = execFileSync(process.execPath, [main, 'completion', shell], {
      encoding: 'utf8',
    });
    const file = path.join(t.testdir({ script }), 'script');
    t.doesNotThrow(() => execFileSync(shell, ['-n', file]), shell);
  }
  t.end();
});
