/**
 * The shell script that stands between this process and the command of a `run`: in the namespace it
 * covers the directory with the branch, goes to where the command starts, says that it is ready,
 * and becomes the command. Pure.
 *
 * What must hold: until it is ready, nothing of it reaches the command's own output; descriptor 3
 * gets what went wrong, or one line `ready NAMESPACE`; words and paths of any bytes arrive unchanged.
 * Where the branch's mount has to be brought into the namespace, descriptor 3 first gets a line
 * `waiting NAMESPACE`, and the script goes on when a line has come on descriptor 4.
 */
import { bytesOfText, hasRawBytes } from '../../lib/byte-text.js';

/** What the script says on descriptor 3. */
export const READY = 'ready ';
export const WAITING = 'waiting ';

export interface Covering {
  /** The branch, where it is mounted; it will be seen at `directory`. */
  source: string;
  directory: string;
  /** Mounts inside the directory, which stay what they are: paths below it. */
  inner: readonly string[];
  /** Nothing is at `source` before somebody has brought it into the namespace. */
  isBrought: boolean;
}

export interface Start {
  command: readonly string[];
  /** Where the command starts. */
  cwd: string;
  /** Variables whose values Node's strings can't hold. */
  variables: ReadonlyMap<string, Uint8Array>;
  /** The value of OLDPWD, which `cd` changes; undefined: there was none. */
  oldPwd: string | undefined;
}

export interface Program {
  file: string;
  args: string[];
}

/** Errors go to descriptor 3 until the command begins; then 5 becomes 2 again. */
const BEGIN = 'exec 5>&2 2>&3';
const say = (what: string): string => `printf '${what}%s\\n' "$(readlink /proc/self/ns/mnt)" >&3`;
const BECOME = `${say(READY)}; exec 2>&5 3>&- 5>&-; exec "$@"`;
const NAMESPACE = ['--mount', '--propagation', 'slave'];

/** Bytes as a variable's value. The sign at the end keeps newlines that `$()` would cut off. */
function assignment(name: string, bytes: Uint8Array): string {
  const octal = [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  return `${name}=$(printf '${octal}.'); ${name}=\${${name}%.}`;
}

/** Texts as words of a POSIX shell. Those with bytes that are not UTF-8 get a variable. */
class ShellWords {
  readonly lines: string[] = [];

  word(text: string): string {
    if (!hasRawBytes(text)) return `'${text.replaceAll("'", "'\\''")}'`;
    const name = `shadowfs_${this.lines.length}`;
    this.lines.push(assignment(name, bytesOfText(text)));
    return `"$${name}"`;
  }
}

function covering(words: ShellWords, { source, directory, inner, isBrought }: Covering): string[] {
  return [
    ...(isBrought ? [say(WAITING), 'read -r _ <&4', 'exec 4<&-'] : []),
    ...inner.map((path) => {
      const [from, to] = [`${directory}/${path}`, `${source}/${path}`];
      return `mount --rbind -- ${words.word(from)} ${words.word(to)} || :`;
    }),
    `mount --rbind -- ${words.word(source)} ${words.word(directory)}`,
  ];
}

function starting(words: ShellWords, start: Start): string[] {
  const { command, cwd, oldPwd, variables } = start;
  return [
    `cd -- ${words.word(cwd)}`,
    oldPwd === undefined ? 'unset OLDPWD' : `OLDPWD=${words.word(oldPwd)}`,
    ...[...variables].map(([name, bytes]) => `${assignment(name, bytes)}; export ${name}`),
    `set -- ${command.map((text) => words.word(text)).join(' ')}`,
  ];
}

/**
 * In a mount namespace of its own. Whoever is not root needs a user namespace for it, as its root;
 * a second one, inside, makes the command the same user again, without any rights over the first.
 */
export function inNamespace(
  where: Covering,
  start: Start,
  { uid, gid }: { uid: number; gid: number },
): Program {
  const words = new ShellWords();
  const isRoot = uid === 0;
  const again = `unshare --user --map-user=${uid} --map-group=${gid}`;
  const steps = [
    ...covering(words, where),
    ...starting(words, start),
    isRoot ? BECOME : `exec ${again} -- sh -c '${BECOME.replaceAll("'", "'\\''")}' sh "$@"`,
  ];
  const script = ['set -e', ...words.lines, ...steps].join('\n');
  const namespaces = isRoot ? NAMESPACE : ['--user', '--map-root-user', ...NAMESPACE];
  const first = ['-c', `${BEGIN}; exec unshare "$@"`, 'sh', ...namespaces, '--'];
  return { file: 'sh', args: [...first, 'sh', '-c', script] };
}

/** Where namespaces are forbidden: in the directory where the branch is mounted. */
export function withoutNamespace(start: Start): Program {
  const words = new ShellWords();
  const steps = starting(words, start);
  const script = ['set -e', BEGIN, ...words.lines, ...steps, BECOME].join('\n');
  return { file: 'sh', args: ['-c', script] };
}
