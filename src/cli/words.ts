/**
 * The words of the command line, as text of any bytes (lib/byte-text.ts). Node
 * makes U+FFFD of bytes that are not UTF-8; the kernel still has them.
 */
import { readFileSync } from 'node:fs';
import { textOfBytes } from '../lib/byte-text.js';

const LOST = '\ufffd';

/** `words`: those that Node gives. `cmdline`: the process's, each word ended by NUL. Pure. */
export function wordsOf(words: readonly string[], cmdline: Buffer): string[] {
  const given: Buffer[] = [];
  for (let at = 0; at < cmdline.length; ) {
    const end = cmdline.indexOf(0, at);
    given.push(cmdline.subarray(at, end < 0 ? cmdline.length : end));
    at = end < 0 ? cmdline.length : end + 1;
  }
  if (given.length < words.length) return [...words];
  const last = given.slice(given.length - words.length);
  // Something may have written over the process's line: only what agrees is taken.
  return words.map((word, i) => {
    const bytes = last[i] as Buffer;
    return bytes.toString('utf8') === word ? textOfBytes(bytes) : word;
  });
}

export function commandWords(): string[] {
  const words = process.argv.slice(2);
  if (words.every((word) => !word.includes(LOST))) return words;
  try {
    return wordsOf(words, readFileSync('/proc/self/cmdline'));
  } catch {
    // Without /proc the words are what they are.
    return words;
  }
}
