/** Names of snapshots for lines of a control file, which have a longest length. Pure. */
import { MAX_COMMAND_LENGTH } from '../format/text/grammar.js';

/** Room for the other words of the line. */
const OTHER_BYTES = 1024;
/** A byte of a name takes at most so many in a line (`\xNN`). */
const ESCAPED = 4;

/** `A/B/C`, as few as possible: no name has a slash. */
export function inLines(names: readonly string[]): string[] {
  const lines: string[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const plain = /^[\w.:-]*$/.test(name);
    const more = 1 + Buffer.byteLength(name) * (plain ? 1 : ESCAPED);
    if (bytes + more > MAX_COMMAND_LENGTH - OTHER_BYTES) {
      lines.push([]);
      bytes = 0;
    }
    lines.at(-1)?.push(name);
    bytes += more;
  }
  return lines.map((line) => line.join('/'));
}
