/**
 * A program that is run about a path of any bytes. Node passes words as UTF-8; a
 * path with other bytes goes to a shell's standard input, which hands it on.
 */
import { bytesOfText, hasRawBytes } from '../../lib/byte-text.js';

export interface PathCommand {
  command: string;
  args: string[];
  /** What has to stand on its standard input. */
  input?: Buffer;
}

/** The last word is the path. Command substitution cuts line feeds off, hence the x. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's.
const HAND_ON = 'path=$(cat; echo x) && exec "$@" "${path%x}"';

/** `words`: the program and its options, without the path, which comes last. Pure. */
export function commandAbout(words: readonly string[], path: string): PathCommand {
  const [command = '', ...options] = words;
  if (!hasRawBytes(path)) return { command, args: [...options, path] };
  return { command: 'sh', args: ['-c', HAND_ON, 'sh', ...words], input: bytesOfText(path) };
}
