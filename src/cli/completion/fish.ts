/** The completion script for fish, 3.0 and newer. */
import type { Shape } from './shapes.js';
import { argumentWords, pathsOf, quoted, spellings, valueWords } from './table.js';

/** fish shows what stands behind the tab. */
function described(name: string, about: string): string {
  return `${fishWord(name)}\\t${fishWord(about)}`;
}

/** Between fish's single quotes a backslash makes a quote an ordinary character. */
function fishWord(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function list(words: string): string {
  return words
    .split(' ')
    .filter((word) => word !== '')
    .map(quoted)
    .join(' ');
}

function row(shape: Shape): string {
  const flags = shape.options.flatMap((option) =>
    spellings(option).map((name) => described(name, option.about)),
  );
  const below = shape.commands.map(({ name, about }) => described(name, about));
  return (
    `        case ${pathsOf(shape).map(fishWord).join(' ')}\n` +
    `            set below ${below.join(' ')}\n` +
    `            set flags ${flags.join(' ')}\n` +
    `            set valued ${list(valueWords(shape))}\n` +
    `            set args ${list(argumentWords(shape))}`
  );
}

const FUNCTIONS = String.raw`
# The kind of an option's value; nothing: it takes none.
function __shadowfs_value --no-scope-shadowing
    for __pair in $valued
        if string match -q -- "$argv[1]:*" $__pair
            string replace -- "$argv[1]:" '' $__pair
            return 0
        end
    end
    return 1
end

function __shadowfs_candidates
    set -l below
    set -l flags
    set -l valued
    set -l args
    set -l dirs
    set -l where ''
    set -l count 0
    set -l option ''
    set -l current (commandline -ct)
    __shadowfs_shape ''
    for word in (commandline -opc)[2..-1]
        if test -n "$option"
            contains -- $option -C --directory; and set -a dirs (string replace -r '^~/' "$HOME/" -- $word)
            set option ''
        else if string match -q -- '--directory=*' $word
            set -a dirs (string replace -- '--directory=' '' $word)
        else if string match -q -- '-*' $word
            __shadowfs_value $word >/dev/null; and set option $word
        else if string match -q -- "$word"\t'*' $below
            set where (string trim -- "$where $word")
            __shadowfs_shape $where
        else
            set count (math $count + 1)
        end
    end

    set -l kind
    set -l given ''
    if test -n "$option"
        set kind (__shadowfs_value $option)
    else if string match -q -- '--*=*' $current
        set given (string split -m 1 = -- $current)[1]
        set kind (__shadowfs_value $given)
        set given "$given="
    else if string match -q -- '-*' $current
        printf '%s\n' $flags
        return
    else if test (count $below) -gt 0 -a $count -eq 0
        printf '%s\n' $below
        return
    else if test $count -lt (count $args)
        set kind $args[(math $count + 1)]
    else if test (count $args) -gt 0
        string match -q -- '*\*' $args[-1]; and set kind $args[-1]
    end
    set kind (string replace -r '\*$' '' -- $kind)

    switch "$kind"
        case '' none
            return
        case files
            __fish_complete_path (string replace -- "$given" '' $current)
        case directories
            __fish_complete_directories (string replace -- "$given" '' $current) ''
        case '=*'
            printf "$given%s\n" (string split , -- (string sub -s 2 -- $kind))
        case '*'
            set -l names (shadowfs __names $kind $dirs 2>/dev/null </dev/null)
            test (count $names) -eq 0; or printf "$given%s\n" $names
            test $kind = mountpoints; and __fish_complete_directories $current ''
    end
end

complete -c shadowfs -e
complete -c shadowfs -f -k -a '(__shadowfs_candidates)'
`;

export function fishScript(shapes: readonly Shape[]): string {
  return (
    '# Completion of shadowfs for fish; `shadowfs completion fish` prints it.\n\n' +
    '# What the command at a path takes, for the caller.\n' +
    'function __shadowfs_shape --no-scope-shadowing\n' +
    '    set below\n    set flags\n    set valued\n    set args\n' +
    '    switch "$argv[1]"\n' +
    `${shapes.map(row).join('\n')}\n    end\nend\n${FUNCTIONS}`
  );
}
