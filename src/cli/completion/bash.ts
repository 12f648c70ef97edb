/** The completion script for bash, 4.4 and newer; it needs no other package. */
import type { Shape } from './shapes.js';
import { argumentWords, pathsOf, quoted, spellings, valueWords } from './table.js';

function row(shape: Shape): string {
  const flags = shape.options.flatMap(spellings).join(' ');
  const below = shape.commands.map(({ name }) => name).join(' ');
  return (
    `    ${pathsOf(shape).map(quoted).join('|')}) below=${quoted(below)}\n` +
    `      flags=${quoted(flags)}\n` +
    `      valued=${quoted(valueWords(shape))} args=${quoted(argumentWords(shape))} ;;`
  );
}

const FUNCTIONS = String.raw`
# What a person typed, without its quoting.
_shadowfs_plain() {
  local word=$1
  case $word in '~/'*) word=$HOME/${'$'}{word#'~/'} ;; esac
  word=${'$'}{word//\\/}
  printf '%s' "${'$'}{word//[\"\']/}"
}

# Sets the kind of an option's value, or fails: it takes none.
_shadowfs_value() {
  [[ " $valued " =~ " $1:"([^ ]+)" " ]] && kind=${'$'}{BASH_REMATCH[1]}
}

_shadowfs() {
  local below flags valued args kind='' path='' count=0 option='' word rest=$COMP_LINE i
  local -a words=() dirs=() names=() kinds=()
  # ":" and "=" break words for bash; for shadowfs they are characters of names.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${'$'}{COMP_WORDS[i]}
    if [[ $i -gt 0 && -n $rest && $rest != [[:space:]]* ]]; then words[-1]+=$word
    else words+=("$word"); fi
    rest=${'$'}{rest#"${'$'}{rest%%[![:space:]]*}"}
    rest=${'$'}{rest#"$word"}
  done
  local cur=${'$'}{words[-1]} plain
  plain=$(_shadowfs_plain "$cur")

  _shadowfs_shape ''
  for word in "${'$'}{words[@]:1:${'$'}{#words[@]}-2}"; do
    if [[ -n $option ]]; then
      case $option in -C | --directory) dirs+=("$(_shadowfs_plain "$word")") ;; esac
      option=''
    elif [[ $word == --directory=* ]]; then dirs+=("$(_shadowfs_plain "${'$'}{word#*=}")")
    elif [[ $word == -* ]]; then ! _shadowfs_value "$word" || option=$word
    elif [[ " $below " == *" $word "* ]]; then
      path=${'$'}{path:+$path }$word
      _shadowfs_shape "$path"
    else count=$((count + 1)); fi
  done

  COMPREPLY=()
  kind=''
  local given='' # the part of the current word in front of what is completed
  if [[ -n $option ]]; then _shadowfs_value "$option"
  elif [[ $cur == --*=* ]]; then
    given=${'$'}{cur%%=*}=
    plain=${'$'}{plain#*=}
    _shadowfs_value "${'$'}{cur%%=*}" || return
  elif [[ $cur == -* ]]; then kind==${'$'}{flags// /,}
  elif [[ -n $below && $count -eq 0 ]]; then kind==${'$'}{below// /,}
  else
    read -ra kinds <<<"$args"
    kind=${'$'}{kinds[count]:-}
    if [[ -z $kind && ${'$'}{#kinds[@]} -gt 0 && ${'$'}{kinds[-1]} == *'*' ]]; then kind=${'$'}{kinds[-1]}; fi
    kind=${'$'}{kind%'*'}
  fi

  case $kind in
    '' | none) return ;;
    files | directories)
      compopt -o filenames
      i=-f
      [[ $kind == files ]] || i=-d
      mapfile -t COMPREPLY < <(compgen "$i" -- "$plain")
      return
      ;;
    =*) IFS=, read -ra names <<<"${'$'}{kind#=}" ;;
    *) mapfile -t names < <(shadowfs __names "$kind" "${'$'}{dirs[@]}" 2>/dev/null </dev/null) ;;
  esac
  for word in "${'$'}{names[@]}"; do
    [[ $word == "$plain"* ]] || continue
    # Inside quotes nothing needs a backslash.
    case $cur in \"* | \'*) ;; *) printf -v word %q "$word" ;; esac
    COMPREPLY+=("$given$word")
  done
  if [[ $kind == mountpoints ]]; then
    compopt -o filenames
    mapfile -t -O "${'$'}{#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$plain")
  fi
  # bash replaces only what lies behind the last ":" or "=".
  rest=${'$'}{cur##*[:=]}
  given=${'$'}{cur%"$rest"}
  [[ $COMP_WORDBREAKS == *:* ]] || given=${'$'}{given%%[!=]*}
  COMPREPLY=("${'$'}{COMPREPLY[@]#"$given"}")
}

complete -o nosort -F _shadowfs shadowfs 2>/dev/null || complete -F _shadowfs shadowfs
`;

export function bashScript(shapes: readonly Shape[]): string {
  return (
    '# Completion of shadowfs for bash; `shadowfs completion bash` prints it.\n\n' +
    '# What the command at a path takes.\n' +
    '_shadowfs_shape() {\n  below= flags= valued= args=\n  case $1 in\n' +
    `${shapes.map(row).join('\n')}\n  esac\n}\n${FUNCTIONS}`
  );
}
