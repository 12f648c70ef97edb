/**
 * Man pages from the definitions that also make `--help`: `shadowfs.1` and one
 * page for each command. Pure.
 *
 * Doors inside cli/: pages, write-pages.
 */
import type { Command, Help } from 'commander';
import { examplesOf } from '../options.js';
import { fullName, withDescendants } from '../program-walk.js';

export interface ManPage {
  /** `shadowfs-peer-list.1` */
  file: string;
  text: string;
}

/** Text that roff prints as it is: its own characters are made harmless. */
function plain(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&');
}

const pageName = (command: Command): string => fullName(command).replaceAll(' ', '-');

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`.SH ${title}`, ...lines];
}

/** A term in bold, and what it is. */
function item(term: string, about: string): string[] {
  return ['.TP', `.B ${plain(term)}`, plain(about)];
}

/** Its commands, under the headings of `--help`. */
function commandLines(program: Command, help: Help): string[] {
  const groups = new Map<string, string[]>();
  for (const command of help.visibleCommands(program)) {
    const heading = command.helpGroup() || 'Commands:';
    const lines = groups.get(heading) ?? [];
    groups.set(heading, [
      ...lines,
      ...item(help.subcommandTerm(command), help.subcommandDescription(command)),
    ]);
  }
  return [...groups].flatMap(([heading, lines]) => [
    `.SS ${plain(heading.slice(0, -1))}`,
    ...lines,
  ]);
}

/** Examples as they stand, prose as paragraphs. */
function exampleLines(text: string): string[] {
  const lines: string[] = [];
  let isCode = false;
  for (const line of text.split('\n')) {
    const wasCode = isCode;
    isCode = line.startsWith(' ');
    if (isCode && !wasCode) lines.push('.PP', '.nf');
    if (!isCode && wasCode) lines.push('.fi', '.PP');
    lines.push(plain(line.trimStart()));
  }
  return isCode ? [...lines, '.fi'] : lines;
}

const EXIT_STATUS = [
  ...item('0', 'done'),
  ...item('1', 'failed; the message says why, and with --json the answer has a stable code'),
  ...item('2', "wrong usage: words that can't be right whatever the mount is like"),
];

const ENVIRONMENT = [
  ...item('SHADOWFS_STATE_DIR', 'where volumes, logs and records of mounts lie'),
  ...item('XDG_STATE_HOME', 'for ordinary users: shadowfs below it is the state directory'),
  ...item('DEBUG', 'shadowfs:* logs more, with mount -f'),
];

function seeAlso(command: Command, program: Command): string {
  const family =
    command === program || command.parent === program
      ? program.commands
      : [program, ...(command.parent?.commands ?? [])];
  const pages = [...new Set([program, ...family])].filter((one) => one !== command && isShown(one));
  const names = pages.map((one) => `\\fB${plain(pageName(one))}\\fP(1)`);
  return [...names, '\\fBmount\\fP(8)', '\\fBfuse\\fP(4)'].join(',\n');
}

function manPage(command: Command, program: Command): ManPage {
  const help = command.createHelp();
  const name = pageName(command);
  const version = program.version() ?? '';
  const isProgram = command === program;
  const examples = examplesOf(command);
  const lines = [
    `.TH ${plain(name.toUpperCase())} 1 "" "shadowfs ${version}" "shadowfs manual"`,
    ...section('NAME', [`${plain(name)} \\- ${plain(command.summary() || command.description())}`]),
    ...section('SYNOPSIS', [plain(help.commandUsage(command))]),
    ...section('DESCRIPTION', [plain(command.description())]),
    ...(command.commands.length === 0 ? [] : section('COMMANDS', commandLines(command, help))),
    ...section(
      'ARGUMENTS',
      help
        .visibleArguments(command)
        .flatMap((one) => item(help.argumentTerm(one), help.argumentDescription(one))),
    ),
    ...section(
      'OPTIONS',
      help
        .visibleOptions(command)
        .flatMap((one) => item(help.optionTerm(one), help.optionDescription(one))),
    ),
    ...section('EXIT STATUS', EXIT_STATUS),
    ...section('ENVIRONMENT', isProgram ? ENVIRONMENT : []),
    ...section('EXAMPLES', examples === undefined ? [] : exampleLines(examples)),
    ...section('SEE ALSO', [seeAlso(command, program)]),
  ];
  return { file: `${name}.1`, text: `${lines.join('\n')}\n` };
}

/** Earlier names of a command have no page. */
function isShown(command: Command): boolean {
  const { parent } = command;
  return parent === null || parent.createHelp().visibleCommands(parent).includes(command);
}

export function manPages(program: Command): ManPage[] {
  return withDescendants(program)
    .filter(isShown)
    .map((command) => manPage(command, program));
}
