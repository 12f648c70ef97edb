/** The completion script for zsh: a file `_shadowfs` on its fpath, or to be sourced. */
import type { Shape } from './shapes.js';
import { argumentWords, pathsOf, quoted, spellings, valueWords } from './table.js';

/** `name:what it is`, as _describe takes it. */
function described(name: string, about: string): string {
  return `'${`${name.replaceAll(':', '\\:')}:${about}`.replaceAll("'", "'\\''")}'`;
}

function row(shape: Shape): string {
  const flags = shape.options.flatMap((option) =>
    spellings(option).map((name) => described(name, option.about)),
  );
  const below = shape.commands.map(({ name, about }) => described(name, about));
  const list = (words: string): string =>
    words === '' ? '' : words.split(' ').map(quoted).join(' ');
  return [
    `    ${pathsOf(shape).map(quoted).join('|')})`,
    `      below=(${below.join(' ')})`,
    `      flags=(${flags.join(' ')})`,
    `      valued=(${list(valueWords(shape))}) args=(${list(argumentWords(shape))})`,
    '      ;;',
  ].join('\n');
}

const FUNCTIONS = String.raw`
# Sets the kind of an option's value, or fails: it takes none.
_shadowfs_value() {
  local found=${'$'}{valued[(r)$1:*]}
  [[ -n $found ]] && kind=${'$'}{found#*:}
}

_shadowfs() {
  local kind='' where='' option='' word
  local -a below flags valued args dirs names
  integer count=0
  _shadowfs_shape ''
  for word in "${'$'}{(@)words[2,CURRENT-1]}"; do
    word=${'$'}{(Q)word}
    if [[ -n $option ]]; then
      [[ $option != (-C|--directory) ]] || dirs+=(${'$'}{word/#\~\//$HOME/})
      option=''
    elif [[ $word == --directory=* ]]; then dirs+=(${'$'}{word#*=})
    elif [[ $word == -* ]]; then ! _shadowfs_value $word || option=$word
    elif [[ -n ${'$'}{below[(r)$word:*]} ]]; then
      where=${'$'}{where:+$where }$word
      _shadowfs_shape $where
    else (( count += 1 )); fi
  done

  kind=''
  word=${'$'}{words[CURRENT]}
  if [[ -n $option ]]; then _shadowfs_value $option
  elif [[ $word == --*=* ]]; then
    _shadowfs_value ${'$'}{word%%=*} || return 1
    compset -P '*='
  elif [[ $word == -* ]]; then
    _describe -o option flags
    return
  elif (( $#below && count == 0 )); then
    _describe command below
    return
  else
    kind=${'$'}{args[count+1]:-}
    [[ -n $kind || $#args -eq 0 || $args[-1] != *'*' ]] || kind=$args[-1]
    kind=${'$'}{kind%'*'}
  fi

  case $kind in
    ('' | none) _message 'no completions'; return 1 ;;
    (files) _files; return ;;
    (directories) _files -/; return ;;
    (=*) names=(${'$'}{(s:,:)kind#=}) ;;
    (*) names=(${'$'}{(f)"$(shadowfs __names $kind $dirs 2>/dev/null </dev/null)"}) ;;
  esac
  # In the order given: newest first.
  (( $#names == 0 )) || compadd -V $kind -a names
  [[ $kind != mountpoints ]] || _files -/
}

if [[ $funcstack[1] == _shadowfs ]]; then _shadowfs "$@"; else compdef _shadowfs shadowfs; fi
`;

export function zshScript(shapes: readonly Shape[]): string {
  return (
    '#compdef shadowfs\n' +
    '# Completion of shadowfs for zsh; `shadowfs completion zsh` prints it.\n\n' +
    '# What the command at a path takes.\n' +
    '_shadowfs_shape() {\n  below=() flags=() valued=() args=()\n  case $1 in\n' +
    `${shapes.map(row).join('\n')}\n  esac\n}\n${FUNCTIONS}`
  );
}
