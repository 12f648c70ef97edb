/**
 * Names and link targets between byte strings, in which the tree has them, and
 * the UTF-8 texts that the package takes and gives. Pure.
 *
 * Bytes that are no UTF-8 go out as characters of a private area (U+F780 to
 * U+F7FF), one for each byte from 0x80, and come back as those bytes. The
 * package itself makes U+FFFD of such bytes on their way in: what they were is
 * lost, so that nothing can be made under such a name.
 */
import { isUtf8 } from 'node:buffer';
import { FsError } from '../lib/errors.js';

const ESCAPE_BASE = 0xf700;

const isPlain = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false;
  return true;
};

/** What a program sees of a byte string. */
export function textOfBytes(name: string): string {
  if (isPlain(name)) return name;
  const bytes = Buffer.from(name, 'latin1');
  if (isUtf8(bytes)) {
    const text = bytes.toString('utf8');
    if (!/[\uf780-\uf7ff]/.test(text)) return text;
  }
  return name.replace(/[\x80-\xff]/g, (byte) =>
    String.fromCharCode(ESCAPE_BASE + byte.charCodeAt(0)),
  );
}

/** The byte string that a program means. */
export function bytesOfText(text: string): string {
  if (isPlain(text)) return text;
  return text
    .split(/([\uf780-\uf7ff])/)
    .map((part, i) =>
      i % 2 === 1
        ? String.fromCharCode(part.charCodeAt(0) - ESCAPE_BASE)
        : Buffer.from(part, 'utf8').toString('latin1'),
    )
    .join('');
}

/** For what is to be made: throws EINVAL when bytes were lost on the way. */
export function refuseMangled(text: string, syscall: string): void {
  if (text.includes('\ufffd')) throw new FsError('EINVAL', syscall, text);
}

/** The directory and the last name of an absolute path other than `/`. */
export function splitPath(path: string): { directory: string; name: string } {
  const slash = path.lastIndexOf('/');
  return { directory: slash === 0 ? '/' : path.slice(0, slash), name: path.slice(slash + 1) };
}
