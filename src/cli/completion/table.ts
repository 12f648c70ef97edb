/**
 * Words for the tables in the completion scripts. Pure.
 *
 * A kind is one word: `snapshots`, `files`, `none`, or `=on,off` for a choice;
 * a `*` behind it: any number of them.
 */
import type { ArgumentShape, Kind, OptionShape, Shape } from './shapes.js';

function kindWord(kind: Kind): string {
  if (kind === 'none' || kind === 'unknown') return 'none';
  if ('names' in kind) return kind.names;
  return 'paths' in kind ? kind.paths : `=${kind.words.join(',')}`;
}

/** `snapshots mountpoints*`, in the order of the arguments. */
export function argumentWords(shape: Shape): string {
  const word = ({ kind, variadic }: ArgumentShape): string =>
    kindWord(kind) + (variadic ? '*' : '');
  return shape.arguments.map(word).join(' ');
}

/** The names of an option. */
export function spellings({ long, short }: OptionShape): string[] {
  return short === undefined || short === long ? [long] : [short, long];
}

/** `-C:directories --directory:directories`: the options that take a value. */
export function valueWords(shape: Shape): string {
  return shape.options
    .flatMap((option) => {
      const { value } = option;
      if (value === undefined) return [];
      return spellings(option).map((name) => `${name}:${kindWord(value.kind)}`);
    })
    .join(' ');
}

/** A word for bash, zsh and fish. */
export function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "'\\''")}'`;
}

/** The paths by which a command is reached. */
export function pathsOf({ path, aliases }: Shape): string[] {
  const above = path.split(' ').slice(0, -1);
  return [path, ...aliases.map((alias) => [...above, alias].join(' '))];
}
