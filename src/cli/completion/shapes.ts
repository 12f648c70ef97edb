/**
 * What commands take, as completions need it: read off the definitions of
 * commander, with a kind for everything that a shell can complete.
 */
import type { Argument, Command, Option } from 'commander';
import { fullName, withDescendants } from '../program-walk.js';
import { SYNC_ACTIONS } from '../commands/sync-words.js';

/** `none`: a text of one's own. */
export type Kind =
  | { names: 'snapshots' | 'branches' | 'peers' | 'volumes' | 'mountpoints' }
  | { paths: 'files' | 'directories' }
  | { words: readonly string[] }
  | 'none'
  /** KINDS does not have it, which a test finds; nothing is completed. */
  | 'unknown';

const SNAPSHOTS: Kind = { names: 'snapshots' };
const BRANCHES: Kind = { names: 'branches' };
const VOLUMES: Kind = { names: 'volumes' };
const PEERS: Kind = { names: 'peers' };
const MOUNTPOINTS: Kind = { names: 'mountpoints' };
const DIRECTORIES: Kind = { paths: 'directories' };
const FILES: Kind = { paths: 'files' };
const SWITCH: Kind = { words: ['on', 'off'] };

/**
 * By command and placeholder, or by placeholder alone. Every placeholder of an
 * argument or option stands here; a test asks for it.
 */
const KINDS: Readonly<Record<string, Kind>> = {
  'save name': 'none',
  'restore name': SNAPSHOTS,
  'restore --to': DIRECTORIES,
  'delete name': SNAPSHOTS,
  'prune name': SNAPSHOTS,
  'snapshots --kind': { words: ['user', 'auto', 'undo', 'diverged'] },
  'snapshots --branch': BRANCHES,
  'rename name': SNAPSHOTS,
  'group-save name': 'none',
  'branch name': BRANCHES,
  'branch --snapshot': SNAPSHOTS,
  'branch --branch': BRANCHES,
  of: SNAPSHOTS,
  branch: BRANCHES,
  'mount --branch': BRANCHES,
  'run --branch': 'none',
  'space --branch': BRANCHES,
  'run --json-file': FILES,
  command: 'none',
  'peer remove name': PEERS,
  'demote --peer': PEERS,
  'mount --option': 'none',
  'mount --driver': { words: ['auto', 'kernel', 'fuse-native'] },
  'mount --compression': SWITCH,
  'sync words': { words: SYNC_ACTIONS },
  'schedule text': { words: ['show', 'off', 'every'] },
  'receive volume': FILES,
  'volume adopt path': DIRECTORIES,
  'volume move to': DIRECTORIES,
  volume: VOLUMES,
  path: FILES,
  a: SNAPSHOTS,
  b: SNAPSHOTS,
  snapshot: SNAPSHOTS,
  new: 'none',
  peer: PEERS,
  mountpoint: MOUNTPOINTS,
  directories: DIRECTORIES,
  dir: DIRECTORIES,
  file: FILES,
  paths: FILES,
  '--volume': VOLUMES,
  '--from': SNAPSHOTS,
  'unlock --from': 'none',
  'pattern-or-mountpoint': SNAPSHOTS,
  '--to': SNAPSHOTS,
  shell: { words: ['bash', 'zsh', 'fish'] },
};

/** Placeholders for texts and numbers of one's own. */
const FREE: ReadonlySet<string> = new Set([
  ...['reason', 'token', 'text', 'count', 'n', 'size', 'name', 'number', 'seconds', 'ms', 'time'],
  'rules',
  ...['kinds', 'glob', 'host:port', 'key=value,...', 'changes'],
]);

function kindOf(command: string, keys: readonly string[]): Kind {
  for (const key of keys) {
    const kind = KINDS[`${command} ${key}`] ?? KINDS[key];
    if (kind !== undefined) return kind;
  }
  return keys.some((key) => FREE.has(key)) ? 'none' : 'unknown';
}

export interface OptionShape {
  long: string;
  short: string | undefined;
  about: string;
  /** Undefined: a switch. */
  value: { name: string; kind: Kind } | undefined;
}

export interface ArgumentShape {
  name: string;
  kind: Kind;
  variadic: boolean;
}

export interface Shape {
  /** Words behind `shadowfs`: empty for the program itself, `peer list`. */
  path: string;
  /** Other names of the same command. */
  aliases: string[];
  about: string;
  options: OptionShape[];
  arguments: ArgumentShape[];
  /** Names and aliases of the commands below, and what they do. */
  commands: { name: string; about: string }[];
}

/** The first line of what is said about a command. */
function aboutOf(command: Command): string {
  return command.summary() || command.description();
}

function optionShape(path: string, option: Option): OptionShape {
  const placeholder = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1];
  const long = option.long ?? option.short ?? '';
  const about = option.description;
  const value =
    placeholder === undefined
      ? undefined
      : { name: placeholder, kind: kindOf(path, [long, placeholder]) };
  return { long, short: option.short, about, value };
}

function argumentShape(path: string, argument: Argument, commandNames: Kind): ArgumentShape {
  const name = argument.name();
  const kind = name === 'command' ? commandNames : kindOf(path, [name]);
  return { name, kind, variadic: argument.variadic };
}

/** Every command, the program itself first. */
export function shapesOf(program: Command): Shape[] {
  const names = program.commands.map((command) => command.name());
  // `help` is not among the program's own commands.
  const help = program.createHelp().visibleCommands(program).at(-1);
  const all = [...withDescendants(program), ...(help === undefined ? [] : [help])];
  return [...new Set(all)].map((command) => {
    const isProgram = command === program;
    const path = isProgram ? '' : fullName(command).replace(/^shadowfs /, '');
    const help = command.createHelp();
    return {
      path,
      aliases: command.aliases(),
      about: aboutOf(command),
      options: help.visibleOptions(command).map((option) => optionShape(path, option)),
      arguments: command.registeredArguments.map((one) =>
        argumentShape(path, one, { words: names }),
      ),
      commands: help
        .visibleCommands(command)
        .flatMap((below) =>
          [below.name(), ...below.aliases()].map((name) => ({ name, about: aboutOf(below) })),
        ),
    };
  });
}
